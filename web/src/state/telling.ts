/** What is selected, in a sentence: the same words for the eye and for a screen reader. */

import { percent } from "../content/numbers";
import { brief, type Positions, type Range } from "../content/positions";
import type { Line } from "../content/reading";
import { isolated } from "../drawing/pen";
import type { Pane, Store } from "./store";

const NAMED = 6;

/** The selection of a pane in a sentence, "" where nothing is selected. */
export function told(store: Store, pane: Pane): string {
  const [selection, reading] = [store.selection.value, pane.reading.value];
  if (selection === null || reading === null) return "";
  const unit = store.options.unit.value;
  const [queries, keys] = [pane.queries.value, pane.keys.value];
  const query = selection.queries && queries.unitsOf(unit, selection.queries);
  const key = selection.keys && keys.unitsOf(unit, selection.keys);
  if (query && key && selection.queries && selection.keys) {
    const spot = reading.spot(query, key);
    const single = query.to - query.from === 1 && key.to - key.from === 1;
    const largest = single || reading.signed ? "" : `, at most ${percent(spot.max, reading.signed)} on one`;
    const pair = `${apart(queries.name(unit, selection.queries))} → ${apart(keys.name(unit, selection.keys))}`;
    return `${pair}: ${about(spot.exact)}${percent(spot.mean, reading.signed)}${largest}`;
  }
  if (query && selection.queries) {
    const verb = reading.signed ? "differs on" : "attends to";
    return `${apart(queries.name(unit, selection.queries))} ${verb}: ${strongest(reading.row(query), keys, store, reading.signed)}`;
  }
  if (key && selection.keys)
    return `Who attends to ${apart(keys.name(unit, selection.keys))}: ${strongest(reading.column(key), queries, store, reading.signed)}`;
  return "";
}

// Right-to-left words, or marks that turn the direction, must not turn the words and numbers beside them.
const TURNS =
  /[\u0590-\u08FF\u200E\u200F\u202A-\u202E\u2066-\u2069\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;
const apart = (text: string) => (TURNS.test(text) ? isolated(text) : text);

const about = (exact: boolean) => (exact ? "" : "about ");

function strongest(line: Line, positions: Positions, store: Store, signed: boolean): string {
  const unit = store.options.unit.value;
  const named = largest(line.values, NAMED).map(
    (index) => `${apart(brief(positions.label(unit, index)))} ${percent(line.values[index]!, signed)}`,
  );
  return named.length > 0 ? about(line.exact) + named.join(", ") : "nothing";
}

/** The places of the largest values other than 0, by size without sign, largest first. */
export function largest(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const size = Math.abs(values[index]!);
    if (!(size > 0) || (best.length === count && size <= Math.abs(values[best.at(-1)!]!))) continue;
    const place = best.findIndex((other) => Math.abs(values[other]!) < size);
    best.splice(place < 0 ? best.length : place, 0, index);
    if (best.length > count) best.pop();
  }
  return best;
}

/** A range with another one added: what shift and a click span. */
export function spanned(range: Range | null, other: Range): Range {
  return range === null ? other : { from: Math.min(range.from, other.from), to: Math.max(range.to, other.to) };
}
