/** What a view draws with: the same calls draw on a canvas for the screen and into an SVG file. */

/** How text stands. */
export interface TextStyle {
  size: number;
  fill: string;
  align?: "left" | "center" | "right";
  baseline?: "top" | "middle" | "bottom";
  /** Clockwise, in degrees, around the point. */
  turn?: number;
  /** Longer text is cut with "…". */
  width?: number;
  bold?: boolean;
}

/** How a line is drawn. */
export interface Stroke {
  color: string;
  width: number;
  opacity?: number;
}

/** How an area is filled. */
export interface Fill {
  color: string;
  opacity?: number;
}

export type Point = readonly [x: number, y: number];

/** Draws in pixels of the page, from the upper left. */
export interface Pen {
  readonly width: number;
  readonly height: number;
  rectangle(x: number, y: number, width: number, height: number, fill: Fill | null, stroke?: Stroke): void;
  line(points: readonly Point[], stroke: Stroke): void;
  /** A curve from one point to another that leaves and arrives along the given axis. */
  curve(from: Point, to: Point, axis: "horizontal" | "vertical", stroke: Stroke): void;
  area(points: readonly Point[], fill: Fill): void;
  text(text: string, x: number, y: number, style: TextStyle): void;
  /** An image; its pixels stay sharp unless it is smooth. */
  image(
    image: HTMLCanvasElement | HTMLImageElement,
    x: number,
    y: number,
    width: number,
    height: number,
    look?: { smooth?: boolean; opacity?: number },
  ): void;
  /** Draws only inside a rectangle. */
  inside(x: number, y: number, width: number, height: number, draw: () => void): void;
  /** How wide a text is. */
  measure(text: string, size: number, bold?: boolean): number;
}

export const FONT = "system-ui, sans-serif";

/** The signs of a text as a reader sees them. */
function signsOf(text: string): string[] {
  if (!("Segmenter" in Intl)) return [...text];
  return Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
}

/** A text cut to a width, by whole signs as a reader sees them. */
export function cut(text: string, width: number | undefined, measure: (text: string) => number): string {
  if (width === undefined || (text.length < MOST_LETTERS && measure(text) <= width)) return text;
  const signs = signsOf(text.slice(0, MOST_LETTERS));
  const first = (count: number) => `${signs.slice(0, count).join("")}…`;
  let [fits, most] = [0, signs.length];
  while (fits < most) {
    const middle = (fits + most + 1) >> 1;
    if (measure(first(middle)) <= width) fits = middle;
    else most = middle - 1;
  }
  return first(fits);
}

/** Longer texts are never drawn on one line. */
const MOST_LETTERS = 4096;

// Text that runs right to left, or that holds marks that turn its direction, must not turn its neighbours'.
const ISOLATE = ["\u2068", "\u2069"] as const;

/** A text that cannot turn the direction of what stands beside it. */
export const isolated = (text: string) =>
  `${ISOLATE[0]}${text.replace(/[\u2066-\u2069\u202A-\u202E]/g, "")}${ISOLATE[1]}`;
