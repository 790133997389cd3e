/** What is selected, in a sentence: the same words for the eye and for a screen reader. */

import { percent } from "../content/numbers";
import { brief, type Positions, type Range, type Unit } from "../content/positions";
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
  const areTexts = joinsTexts(pane);
  const asking = query && `${areTexts ? `Target ${counted(unit, query)} ` : ""}${named(queries, unit, query)}`;
  const asked = key && `${areTexts ? `source ${counted(unit, key)} ` : ""}${named(keys, unit, key)}`;
  const attends = query && areTexts && !isSingle(query) ? "attend to" : "attends to";
  if (query && key) {
    const spot = reading.spot(query, key);
    const single = isSingle(query) && isSingle(key);
    const largest = single || reading.signed ? "" : `, at most ${percent(spot.max, reading.signed)} on one`;
    const pair = `${asking} ${areTexts ? attends : "→"} ${asked}`;
    return `${pair}: ${about(spot.exact)}${percent(spot.mean, reading.signed)}${largest}`;
  }
  if (query) {
    const verb = reading.signed ? "differs on" : attends;
    return `${asking} ${verb}: ${strongest(reading.row(query), keys, store, reading.signed)}`;
  }
  return key ? `Who attends to ${asked}: ${strongest(reading.column(key), queries, store, reading.signed)}` : "";
}

/** Whether one text attends to another, so that a word of the one is told apart from the same word of the other. */
const joinsTexts = ({ group, queries, keys }: Pane) =>
  group.value.kind === "cross" && queries.value.segments.length === 0 && keys.value.segments.length === 0;

const isSingle = ({ from, to }: Range) => to - from === 1;
const counted = (unit: Unit, units: Range) => (isSingle(units) ? unit.slice(0, -1) : unit);
const named = (positions: Positions, unit: Unit, units: Range) =>
  apart(positions.name(unit, positions.tokensIn(unit, units)));

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
