/** What is drawn, and where it stands: two columns of words with room for lines between them. */

import { largestSize } from "../../content/numbers";
import type { Positions, Range, Unit } from "../../content/positions";
import { visible } from "../../content/positions";
import type { Reading } from "../../content/reading";
import { type Shading, shading } from "../../drawing/colors";
import type { Pen } from "../../drawing/pen";
import { reachOf } from "../../state/linked";
import type { Side } from "../../state/sides";
import type { Pane, Selection, Store } from "../../state/store";
import { type ColoredHead, headsOf } from "./heads";
import { scrolledOf } from "./scrolled";
import type { Window } from "./strokes";

export const ROW = 22;
/** The height of the columns' names. */
export const TOP = 26;
export const LETTERS = 14;
/** The gap between a word and its lines. */
const GAP = 6;
/** What a scroll bar takes at the outer edge. */
const EDGE = 12;
/** Saved pictures hold this many rows at most. */
const MOST_ROWS = 200;
const SAVED_WIDTH = 640;
const MOST_MEASURED = 400;
/** Room for the ways to what is out of sight, below the lines. */
const WAYS = 36;

/** One column of words. */
interface Column {
  positions: Positions;
  count: number;
  scrolled: number;
  /** Where words begin and end, and the edge at which lines arrive. */
  left: number;
  right: number;
  inner: number;
}

/** All that the drawing stands on. */
export interface Scene {
  unit: Unit;
  heads: readonly ColoredHead[];
  shades: Shading;
  least: number;
  width: number;
  height: number;
  queries: Column;
  keys: Column;
  sight: Window;
}

/** How high the columns are where so much is free, and whether all of their words are in sight. */
export function room(store: Store, pane: Pane, tall: number): { height: number; whole: boolean } {
  const rows = rowsOf(store, pane);
  const most = Math.max(10, Math.floor((tall - TOP - WAYS) / ROW));
  return { height: Math.min(rows, most) * ROW, whole: rows <= most };
}

function rowsOf(store: Store, pane: Pane): number {
  const unit = store.options.unit.value;
  return Math.max(pane.queries.value.count(unit), pane.keys.value.count(unit));
}

/** The size of a file. */
export function fileSize(store: Store, pane: Pane): { width: number; height: number } {
  return { width: SAVED_WIDTH, height: Math.min(rowsOf(store, pane), MOST_ROWS) * ROW + ROW / 2 + TOP };
}

/** The scene on the screen, or in a file; null while the weights are being decoded. */
export function sceneOf(store: Store, pane: Pane, pen: Pen, place: "screen" | "file"): Scene | null {
  const heads = headsOf(store, pane);
  if (heads === null) return null;
  const unit = store.options.unit.value;
  const [queries, keys] = [pane.queries.value, pane.keys.value];
  const { width, height } = pen;
  const whole = place === "file" && rowsOf(store, pane) <= MOST_ROWS;
  const labels = (positions: Positions) =>
    widest(positions, unit, (label) => pen.measure(label, LETTERS)) + GAP + EDGE + 4;
  const most = Math.floor(0.36 * width);
  const column = (positions: Positions, side: Side): Column => {
    const size = Math.min(most, Math.max(56, Math.ceil(labels(positions))));
    const count = positions.count(unit);
    const scrolled = whole ? 0 : Math.min(scrolledOf(pane)[side].value, Math.max(0, count * ROW - (height - TOP)));
    const own =
      side === "queries"
        ? { left: EDGE, right: size - GAP, inner: size }
        : { left: width - size + GAP, right: width - EDGE, inner: width - size };
    return { positions, count, scrolled, ...own };
  };
  const both = { queries: column(queries, "queries"), keys: column(keys, "keys") };
  const largest = reachOf(store, (own, pane) =>
    Math.max(0, ...(headsOf(own, pane) ?? []).map(({ reading }) => largestOf(reading))),
  );
  const { palette, scale, least } = store.options;
  return {
    unit,
    heads,
    shades: shading(palette.value, scale.value, largest, heads[0]!.reading.signed),
    least: least.value,
    width,
    height,
    ...both,
    sight: { queries: inSight(both.queries, height), keys: inSight(both.keys, height) },
  };
}

/** The middle of a row. */
export const middleOf = (column: Column, unit: number) => TOP + (unit + 0.5) * ROW - column.scrolled;

/** The units in sight, those that are cut off at the edges among them when their middle shows. */
export function inSight({ count, scrolled }: Pick<Column, "count" | "scrolled">, height: number): Range {
  const from = Math.max(0, Math.ceil(scrolled / ROW - 0.5));
  const to = Math.min(count, Math.floor((scrolled + height - TOP) / ROW + 0.5));
  return { from: Math.min(from, to), to };
}

/** The selected units of each side, and the side whose lines count. */
export function chosenIn(scene: Scene, selection: Selection | null) {
  const units = (side: Side) => {
    const tokens = selection?.[side];
    return tokens ? scene[side].positions.unitsOf(scene.unit, tokens) : null;
  };
  const chosen = { queries: units("queries"), keys: units("keys") };
  const side: Side | null = chosen.queries ? "queries" : chosen.keys ? "keys" : null;
  return { ...chosen, side };
}

const widths = new WeakMap<Positions, Partial<Record<Unit, number>>>();

/** The width of the widest of the words, or of some of very many. */
function widest(positions: Positions, unit: Unit, measure: (label: string) => number): number {
  const known = widths.get(positions) ?? {};
  widths.set(positions, known);
  known[unit] ??= measuredWidth(positions, unit, measure);
  return known[unit];
}

function measuredWidth(positions: Positions, unit: Unit, measure: (label: string) => number): number {
  const count = positions.count(unit);
  const step = Math.max(1, Math.ceil(count / MOST_MEASURED));
  let best = 0;
  for (let index = 0; index < count; index += step)
    best = Math.max(best, measure(visible(positions.label(unit, index))));
  return best;
}

const largests = new WeakMap<Reading, number>();

function largestOf(reading: Reading): number {
  const known = largests.get(reading);
  if (known !== undefined) return known;
  const { mean, max } = reading.grid();
  let largest = largestSize(reading.exact ? mean : max);
  for (const { weight } of reading.links()) largest = Math.max(largest, Math.abs(weight));
  largests.set(reading, largest);
  return largest;
}
