/** Colours of lines and bars: those of heads, or of more and less where weights are differences. */

import { type Shading, shading } from "./colors";

/** Not so far along the scale that it would be lost on a dark page. */
const DIVERGED = 0.6;
const differences = shading("greys", "linear", 1, true);

/** The colour of a line of some weight, of a head of some colour. */
export const tint = (shades: Shading, color: string, weight: number) =>
  shades.signed ? differences.css(Math.sign(weight) * DIVERGED) : color;
