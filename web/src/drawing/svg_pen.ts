/** Draws into an SVG file; images stand in it as PNG, so that a map is one element and not one for each weight. */

import { widthOf } from "./measuring";
import { cut, type Fill, FONT, isolated, type Pen, type Point, type Stroke, type TextStyle } from "./pen";

/** Counts clips: their names hold in the whole file. */
let clips = 0;

const SVG = "http://www.w3.org/2000/svg";

/** A pen that makes SVG elements. */
export class SvgPen implements Pen {
  private readonly root = document.createElementNS(SVG, "svg");
  private into: Element = this.root;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    set(this.root, { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT });
  }

  /** The file. */
  toString(): string {
    return new XMLSerializer().serializeToString(this.root);
  }

  rectangle(x: number, y: number, width: number, height: number, fill: Fill | null, stroke?: Stroke): void {
    this.add("rect", { x, y, width, height, ...filled(fill), ...stroked(stroke) });
  }

  line(points: readonly Point[], stroke: Stroke): void {
    this.add("polyline", { points: points.map(short).join(" "), ...filled(null), ...stroked(stroke) });
  }

  curve(from: Point, to: Point, axis: "horizontal" | "vertical", stroke: Stroke): void {
    const [[x0, y0], [x1, y1]] = [from, to];
    const bends: Point[] =
      axis === "horizontal"
        ? [
            [(x0 + x1) / 2, y0],
            [(x0 + x1) / 2, y1],
          ]
        : [
            [x0, (y0 + y1) / 2],
            [x1, (y0 + y1) / 2],
          ];
    const d = `M${short(from)}C${[...bends, to].map(short).join(" ")}`;
    this.add("path", { d, ...filled(null), ...stroked(stroke) });
  }

  area(points: readonly Point[], fill: Fill): void {
    this.add("polygon", { points: points.map(short).join(" "), ...filled(fill) });
  }

  text(text: string, x: number, y: number, style: TextStyle): void {
    const { size, fill, align = "left", baseline = "middle", turn = 0, width, bold = false } = style;
    const element = this.add("text", {
      transform: `translate(${short([x, y])})${turn === 0 ? "" : ` rotate(${turn})`}`,
      "font-size": size,
      fill,
      "text-anchor": { left: "start", center: "middle", right: "end" }[align],
      "dominant-baseline": { top: "text-before-edge", middle: "central", bottom: "text-after-edge" }[baseline],
      ...(bold ? { "font-weight": 600 } : {}),
    });
    const whole = cut(text, width, (part) => this.measure(part, size, bold));
    // Signs that XML does not know would make the file unreadable.
    element.textContent = isolated(whole).replace(
      /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu,
      "\uFFFD",
    );
  }

  image(
    image: HTMLCanvasElement | HTMLImageElement,
    x: number,
    y: number,
    width: number,
    height: number,
    { smooth = false, opacity = 1 }: { smooth?: boolean; opacity?: number } = {},
  ): void {
    const href = image instanceof HTMLCanvasElement ? image.toDataURL() : image.src;
    const look = { opacity, "image-rendering": smooth ? "auto" : "pixelated", preserveAspectRatio: "none" };
    this.add("image", { x, y, width, height, href, ...look });
  }

  inside(x: number, y: number, width: number, height: number, draw: () => void): void {
    const [outer, id] = [this.into, `inside-${clips++}`];
    this.into = this.add("clipPath", { id });
    this.add("rect", { x, y, width, height });
    this.into = outer;
    this.into = this.add("g", { "clip-path": `url(#${id})` });
    draw();
    this.into = outer;
  }

  /** Draws in a rectangle as if it was a whole file. */
  part(x: number, y: number, width: number, height: number, draw: (pen: Pen) => void): void {
    const pen = new SvgPen(width, height);
    draw(pen);
    set(pen.root, { x, y });
    this.into.append(pen.root);
  }

  measure(text: string, size: number, bold = false): number {
    return widthOf(text, size, bold);
  }

  private add(name: string, attributes: Record<string, string | number>): Element {
    const element = document.createElementNS(SVG, name);
    set(element, attributes);
    this.into.append(element);
    return element;
  }
}

function set(element: Element, attributes: Record<string, string | number>): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

const short = ([x, y]: Point) => `${Number(x.toFixed(2))},${Number(y.toFixed(2))}`;

function filled(fill: Fill | null): Record<string, string | number> {
  return fill === null ? { fill: "none" } : { fill: fill.color, "fill-opacity": fill.opacity ?? 1 };
}

function stroked(stroke: Stroke | undefined): Record<string, string | number> {
  if (stroke === undefined) return {};
  const ends = { "stroke-linecap": "round", "stroke-linejoin": "round" };
  return { stroke: stroke.color, "stroke-width": stroke.width, "stroke-opacity": stroke.opacity ?? 1, ...ends };
}
