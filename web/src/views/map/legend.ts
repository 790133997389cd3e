/** The colour bar of a map: which colour means which weight. */

import { percent } from "../../content/numbers";
import { painted, type Shading } from "../../drawing/colors";
import type { Inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";

const BAR = 10;
const SIZE = 11;
const APART = 10;
const LONGEST = 300;

/** A weight that the bar names, and where, from 0 to 1. */
interface Tick {
  weight: number;
  place: number;
  text: string;
}

/**
 * The weights that a bar names: none, the largest, and round ones between as long as they do not touch.
 *
 * @param width of the bar, in pixels.
 * @param measure how wide a text is.
 */
export function ticks(shades: Shading, width: number, measure: (text: string) => number): Tick[] {
  const { largest, signed } = shades;
  const sizes = [largest, 0];
  for (let power = 0; power >= -4; power--)
    for (const digit of [5, 2, 1]) if (digit * 10 ** power < largest) sizes.push(digit * 10 ** power);
  const kept: Tick[] = [];
  for (const weight of signed ? sizes.flatMap((each) => [each, -each]) : sizes) {
    const place = signed ? (shades.place(weight) + 1) / 2 : shades.place(weight);
    const tick = { weight, place, text: short(weight, signed) };
    const isFree = kept.every(
      (other) => Math.abs(other.place - place) * width > (measure(other.text) + measure(tick.text)) / 2 + APART,
    );
    if (isFree) kept.push(tick);
  }
  return kept.sort((a, b) => a.place - b.place);
}

const short = (weight: number, signed: boolean) => percent(weight, signed).replace(/\.0 /, " ");

/** Draws the bar with its ticks below a line that says what it is of. */
export function drawLegend(
  pen: Pen,
  ink: Inks,
  shades: Shading,
  says: string,
  { x, y, room }: { x: number; y: number; room: number },
): void {
  const width = Math.min(LONGEST, room);
  pen.text(says, x, y + 6, { size: SIZE, fill: ink.soft, width: room });
  const steps = Math.round(width);
  const values = Array.from({ length: steps }, (_, step) => weightAt(shades, step / (steps - 1)));
  pen.image(painted(values, 1, steps, shades), x, y + 16, width, BAR);
  pen.rectangle(x, y + 16, width, BAR, null, { color: ink.line, width: 1 });
  for (const { place, text } of ticks(shades, width, (text) => pen.measure(text, SIZE))) {
    const middle = x + place * width;
    pen.line(
      [
        [middle, y + 16 + BAR],
        [middle, y + 19 + BAR],
      ],
      { color: ink.soft, width: 1 },
    );
    pen.text(text, middle, y + 27 + BAR, { size: SIZE, fill: ink.soft, align: "center" });
  }
}

/** The weight at a place of the bar: the inverse of the scale, found by halving. */
export function weightAt(shades: Shading, place: number): number {
  let low = shades.signed ? -shades.largest : 0;
  let high = shades.largest;
  const aim = shades.signed ? 2 * place - 1 : place;
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (shades.place(middle) < aim) low = middle;
    else high = middle;
  }
  return high;
}
