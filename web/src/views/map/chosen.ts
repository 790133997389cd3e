/** Draws what is selected upon a map: the row, the column, and where they meet. */

import type { Range } from "../../content/positions";
import { type Inks, inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import type { Selection } from "../../state/store";
import { GAP, LABEL_HEIGHT, LABEL_SIZE, LEAN, TURN } from "./layout";
import type { Sight } from "./scene";
import { drawName, type Side, seen, sideOf } from "./sides";

/** The least room between the two lines around a row or column. */
const THINNEST = 6;

/** Draws selections, the ones before the last softly. */
export function drawChosen(pen: Pen, sight: Sight, selections: readonly Selection[]): void {
  const ink = inks();
  for (const [place, selection] of selections.entries())
    drawSelection(pen, ink, sight, selection, place === selections.length - 1 ? 1 : 0.5);
}

function drawSelection(pen: Pen, ink: Inks, sight: Sight, selection: Selection, opacity: number): void {
  const { left, top, plotWidth, plotHeight } = sight.layout;
  const [rows, columns] = [sideOf(sight, "queries"), sideOf(sight, "keys")];
  const query = selection.queries && rows.positions.unitsOf(sight.unit, selection.queries);
  const key = selection.keys && columns.positions.unitsOf(sight.unit, selection.keys);
  const y = query && band(rows, query);
  const x = key && band(columns, key);
  const outline = (x: number, y: number, width: number, height: number) => {
    pen.rectangle(x, y, width, height, null, { color: ink.back, width: 3, opacity: 0.6 * opacity });
    pen.rectangle(x, y, width, height, null, { color: ink.mark, width: 1.5, opacity });
  };
  pen.inside(left - 3, top - 3, plotWidth + 6, plotHeight + 6, () => {
    if (y) outline(left, y.start, plotWidth, y.length);
    if (x) outline(x.start, top, x.length, plotHeight);
    if (x && y) pen.rectangle(x.start, y.start, x.length, y.length, null, { color: ink.mark, width: 3, opacity });
  });
  if (query && y && selection.queries) drawChosenName(pen, ink, sight, rows, selection.queries, query);
  if (key && x && selection.keys) drawChosenName(pen, ink, sight, columns, selection.keys, key);
}

/** The seen part of a range in pixels, no thinner than that the weights within can be seen. */
function band(side: Side, range: Range): { start: number; length: number } | null {
  const place = seen(side, range);
  if (place === null || place.length >= THINNEST) return place;
  return { start: place.start + (place.length - THINNEST) / 2, length: THINNEST };
}

/** The name of what is selected, on a ground that covers the names beside it. */
function drawChosenName(pen: Pen, ink: Inks, sight: Sight, side: Side, tokens: Range, units: Range): void {
  const { left, top, rowLabel, columnLabel } = sight.layout;
  const place = seen(side, units)!;
  const middle = place.start + place.length / 2;
  const name = side.positions.name(sight.unit, tokens);
  const half = (LABEL_HEIGHT + 2) / 2;
  const ground = { color: ink.back };
  if (side.name === "queries") {
    const length = Math.min(rowLabel, pen.measure(name, LABEL_SIZE, true)) + 4;
    pen.rectangle(left - GAP - length, middle - half, length + GAP - 1, 2 * half, ground);
  } else {
    const rise = Math.sin((-TURN * Math.PI) / 180);
    const length = Math.min(columnLabel, pen.measure(name, LABEL_SIZE, true)) + 4;
    const [up, across] = [length * rise, half / rise];
    const bottom = top - GAP + 4;
    const lean = (y: number) => middle + (top - GAP - y) * LEAN;
    pen.area(
      [
        [lean(bottom) - across, bottom],
        [lean(bottom) + across, bottom],
        [lean(top - GAP - up) + across, top - GAP - up],
        [lean(top - GAP - up) - across, top - GAP - up],
      ],
      ground,
    );
  }
  drawName(pen, sight, side, name, middle, { fill: ink.mark, bold: true });
}
