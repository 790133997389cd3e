/** Draws what changes as the reader points: the names along both sides, and what is selected, upon the weights. */

import type { Range } from "../../content/positions";
import { type Inks, inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import type { Selection } from "../../state/store";
import { LABEL_HEIGHT } from "./layout";
import type { Sight } from "./scene";
import { drawName, drawNames, type Name, nameOf, pixelOf, type Side, seen, sideOf } from "./sides";

/** The least room between the two lines around a row or column. */
const THINNEST = 6;

/** Draws names and selections; those before the last one softly. */
export function drawChosen(pen: Pen, sight: Sight, selections: readonly Selection[]): void {
  const ink = inks();
  const [rows, columns] = [sideOf(sight, "queries"), sideOf(sight, "keys")];
  for (const side of [rows, columns]) {
    const chosen = selections
      .toReversed()
      .flatMap((selection) => namesOf(sight, side, unitsOf(sight, side, selection)))
      .filter(isApart);
    drawNames(pen, ink, sight, side, chosen);
    for (const name of chosen) drawName(pen, sight, side, name, { fill: ink.mark, bold: true });
  }
  for (const [place, selection] of selections.entries()) {
    const [query, key] = [rows, columns].map((side) => unitsOf(sight, side, selection));
    const isLast = place === selections.length - 1;
    drawSelection(pen, ink, sight, query && band(rows, query), key && band(columns, key), isLast ? 1 : 0.5);
  }
}

const unitsOf = ({ unit }: Sight, { name, positions }: Side, selection: Selection) =>
  selection[name] && positions.unitsOf(unit, selection[name]);

interface Band {
  start: number;
  length: number;
}

/** Outlines a row, a column and where they meet. */
function drawSelection(
  pen: Pen,
  ink: Inks,
  { layout }: Sight,
  y: Band | null | undefined,
  x: Band | null | undefined,
  opacity: number,
): void {
  const { left, top, plotWidth, plotHeight } = layout;
  const outline = (x: number, y: number, width: number, height: number) => {
    pen.rectangle(x, y, width, height, null, { color: ink.back, width: 3, opacity: 0.6 * opacity });
    pen.rectangle(x, y, width, height, null, { color: ink.mark, width: 1.5, opacity });
  };
  pen.inside(left - 3, top - 3, plotWidth + 6, plotHeight + 6, () => {
    if (y) outline(left, y.start, plotWidth, y.length);
    if (x) outline(x.start, top, x.length, plotHeight);
    if (x && y) pen.rectangle(x.start, y.start, x.length, y.length, null, { color: ink.mark, width: 3, opacity });
  });
}

/** The seen part of a range in pixels, no thinner than that the weights within can be seen. */
function band(side: Side, range: Range): Band | null {
  const place = seen(side, range);
  if (place === null || place.length >= THINNEST) return place;
  return { start: place.start + (place.length - THINNEST) / 2, length: THINNEST };
}

/** The names of the first and last unit of a range, as far as they are seen; of a short range, one name in its middle. */
function namesOf(sight: Sight, side: Side, range: Range | null): Name[] {
  const place = range && seen(side, range);
  if (!place) return [];
  const [first, last] = [range.from, range.to - 1];
  const name = nameOf(sight, side, first);
  if (first === last) return [{ text: name, middle: place.start + place.length / 2 }];
  const [start, end] = [pixelOf(side, first), pixelOf(side, last + 1)];
  if (end - start < 2 * LABEL_HEIGHT) return [{ text: `${name} …`, middle: place.start + place.length / 2 }];
  const names = [
    { text: name, middle: Math.max(start + LABEL_HEIGHT / 2, pixelOf(side, first + 0.5)) },
    { text: nameOf(sight, side, last), middle: Math.min(end - LABEL_HEIGHT / 2, pixelOf(side, last + 0.5)) },
  ];
  return names.filter(({ middle }) => middle >= side.start && middle <= side.start + side.pixels);
}

const isApart = (name: Name, place: number, names: readonly Name[]) =>
  names.slice(0, place).every((other) => Math.abs(other.middle - name.middle) >= LABEL_HEIGHT);
