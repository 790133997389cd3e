/** What the colours of a view mean: a bar with the numbers at its ends. */

import { percent } from "../../content/numbers";
import { painted, type Shading } from "../../drawing/colors";
import { inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";

/** How high a legend is. */
export const LEGEND_HEIGHT = 26;

const [BAR, STEPS] = [120, 120];

/** Draws the legend with its upper left corner at a place. */
export function drawLegend(pen: Pen, x: number, y: number, shades: Shading): void {
  const { soft } = inks();
  const style = { size: 11, fill: soft } as const;
  const least = shades.signed ? -shades.largest : 0;
  const weights = Float32Array.from(
    { length: STEPS },
    (_, step) => least + ((shades.largest - least) * (step + 0.5)) / STEPS,
  );
  const from = percent(least, shades.signed);
  const middle = y + LEGEND_HEIGHT / 2;
  const start = x + pen.measure(from, style.size) + 8;
  pen.text(from, x, middle, style);
  pen.image(painted(weights, 1, STEPS, shades), start, middle - 5, BAR, 10);
  pen.text(percent(shades.largest, shades.signed), start + BAR + 8, middle, style);
}
