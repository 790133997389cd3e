/** The two sides of a map in pixels, and the labels along them. */

import { type Positions, type Range, visible } from "../../content/positions";
import type { Inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import { GAP, LABEL_HEIGHT, LABEL_SIZE, TURN } from "./layout";
import type { Sight } from "./scene";
import type { Span } from "./window";

/** One side of a map: where its units stand on the screen. */
export interface Side {
  name: "queries" | "keys";
  positions: Positions;
  span: Span;
  count: number;
  /** Where the weights begin, and how many pixels they take. */
  start: number;
  pixels: number;
}

/** The side of the queries, or of the keys. */
export function sideOf({ layout, window, reading, ...sight }: Sight, name: Side["name"]): Side {
  const [start, pixels] = name === "queries" ? [layout.top, layout.plotHeight] : [layout.left, layout.plotWidth];
  return { name, positions: sight[name], span: window[name], count: reading[name], start, pixels };
}

/** How many pixels a unit takes. */
export const scaleOf = ({ span, pixels }: Side) => pixels / (span.to - span.from);

/** Where a unit begins on the screen. */
export const pixelOf = (side: Side, unit: number) => side.start + (unit - side.span.from) * scaleOf(side);

/** The unit at a pixel, with its fraction. */
export const unitAt = (side: Side, pixel: number) => side.span.from + (pixel - side.start) / scaleOf(side);

/** The part of a range that is seen, in pixels. */
export function seen(side: Side, range: Range): { start: number; length: number } | null {
  const start = Math.max(side.start, pixelOf(side, range.from));
  const end = Math.min(side.start + side.pixels, pixelOf(side, range.to));
  return end > start ? { start, length: end - start } : null;
}

const ROUND = [1, 2, 5];

/** Of how many units one is named, so that names do not touch: 1, 2, 5, 10 and so on. */
export function stepOf(pixelsAUnit: number): number {
  for (let power = 1; ; power *= 10)
    for (const digit of ROUND) if (digit * power * pixelsAUnit >= LABEL_HEIGHT) return digit * power;
}

/** The units whose names are shown. */
export function named(side: Side): number[] {
  const step = stepOf(scaleOf(side));
  const units: number[] = [];
  for (
    let unit = Math.ceil(Math.floor(side.span.from) / step) * step;
    unit < Math.min(side.count, side.span.to);
    unit += step
  ) {
    const middle = pixelOf(side, unit + 0.5);
    if (middle >= side.start && middle <= side.start + side.pixels) units.push(unit);
  }
  return units;
}

/** A name that stands along a side, at a pixel. */
export interface Name {
  text: string;
  middle: number;
}

/** Draws the names of units along a side, where none of others stands; words that a tokenizer added are soft. */
export function drawNames(pen: Pen, ink: Inks, sight: Sight, side: Side, others: readonly Name[]): void {
  for (const unit of named(side)) {
    const middle = pixelOf(side, unit + 0.5);
    if (others.some((other) => Math.abs(other.middle - middle) < LABEL_HEIGHT)) continue;
    const fill = side.positions.isSpecial(sight.unit, unit) ? ink.soft : ink.text;
    drawName(pen, sight, side, { text: nameOf(sight, side, unit), middle }, { fill });
  }
}

/** The name of a unit. */
export const nameOf = ({ unit }: Sight, { positions }: Side, index: number) =>
  visible(positions.label(unit, index));

/** Draws one name beside or above the weights. */
export function drawName(
  pen: Pen,
  { layout }: Sight,
  side: Side,
  { text, middle }: Name,
  look: { fill: string; bold?: boolean },
): void {
  const style = { size: LABEL_SIZE, ...look };
  if (side.name === "queries")
    pen.text(text, layout.left - GAP, middle, { ...style, align: "right", width: layout.rowLabel });
  else pen.text(text, middle, layout.top - GAP, { ...style, turn: TURN, width: layout.columnLabel });
}
