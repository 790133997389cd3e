/** How light the page is, for what must be told from it. */

import { luminance } from "../../drawing/colors";
import { inks } from "../../drawing/inks";

/** The luminance of the page's ground, 0 (black) to 1 (white). */
export function luminanceOfPage(): number {
  const parts = /^#(..)(..)(..)$/.exec(inks().back)?.slice(1) ?? ["ff", "ff", "ff"];
  const [red, green, blue] = parts.map((part) => Number.parseInt(part, 16));
  return luminance([red!, green!, blue!]);
}
