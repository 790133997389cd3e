/** How wide texts are, measured once each. */

import { FONT } from "./pen";

const MOST_KNOWN = 5000;
const known = new Map<string, number>();
let ruler: CanvasRenderingContext2D | null = null;

/** The letters of a size, as a canvas names them. */
export const fontOf = (size: number, bold: boolean) => `${bold ? "600 " : ""}${size}px ${FONT}`;

/** How wide a text is, in pixels of the page. */
export function widthOf(text: string, size: number, bold = false): number {
  const font = fontOf(size, bold);
  const name = `${font} ${text}`;
  const before = known.get(name);
  if (before !== undefined) return before;
  ruler ??= document.createElement("canvas").getContext("2d")!;
  ruler.font = font;
  const width = ruler.measureText(text).width;
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(name, width);
  return width;
}
