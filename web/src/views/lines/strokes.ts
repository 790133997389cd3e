/** Which lines there are between the words of two windows, and which leave the windows. */

import type { Range } from "../../content/positions";
import type { Reading } from "../../content/reading";
import type { Side } from "../../state/sides";

/** A line between a query and a key. */
export interface Stroke {
  head: number;
  query: number;
  key: number;
  weight: number;
}

/** What the strongest line of a word to words before (or behind) the other window weighs. */
interface Stub {
  head: number;
  side: Side;
  unit: number;
  towards: "before" | "behind";
  weight: number;
}

/** Lines, strongest first, and the stubs of those that leave. */
export interface Strokes {
  strokes: readonly Stroke[];
  stubs: readonly Stub[];
}

/** What is in sight, in units. */
export interface Window {
  queries: Range;
  keys: Range;
}

/** More lines than these are not told apart. */
export const MOST_STROKES = 2000;

const AT_HAND = 600;
const known = new WeakMap<Reading, Map<string, Float32Array>>();

/** The weights of a unit on those of the other side, or of those of the other side on it. */
function valuesOf(reading: Reading, side: Side, unit: number): Float32Array {
  const lines = known.get(reading) ?? new Map<string, Float32Array>();
  known.set(reading, lines);
  const name = `${side}${unit}`;
  const range = { from: unit, to: unit + 1 };
  const values = lines.get(name) ?? (side === "queries" ? reading.row(range) : reading.column(range)).values;
  if (lines.size >= AT_HAND) lines.clear();
  lines.set(name, values);
  return values;
}

/** The lines of at least some weight between all words in sight. */
export function allStrokes(readings: readonly Reading[], sight: Window, least: number): Strokes {
  const found = readings.map((reading, head) => {
    const rows = ofUnits(reading, head, "queries", sight.queries, sight.keys, least);
    const columns = ofUnits(reading, head, "keys", sight.keys, sight.queries, least);
    return { strokes: rows.strokes, stubs: [...rows.stubs, ...columns.stubs] };
  });
  return strongest(found);
}

/** The lines of some words of one side alone. */
export function strokesFrom(
  readings: readonly Reading[],
  side: Side,
  units: Range,
  sight: Window,
  least: number,
): Strokes {
  const own = sight[side];
  const seen = { from: Math.max(units.from, own.from), to: Math.min(units.to, own.to) };
  const facing = side === "queries" ? sight.keys : sight.queries;
  return strongest(readings.map((reading, head) => ofUnits(reading, head, side, seen, facing, least)));
}

function ofUnits(reading: Reading, head: number, side: Side, units: Range, facing: Range, least: number): Strokes {
  const strokes: Stroke[] = [];
  const stubs: Stub[] = [];
  for (let unit = units.from; unit < units.to; unit++) {
    const values = valuesOf(reading, side, unit);
    for (let other = facing.from; other < facing.to; other++) {
      const weight = values[other]!;
      if (weight === 0 || Math.abs(weight) < least) continue;
      strokes.push(
        side === "queries" ? { head, query: unit, key: other, weight } : { head, query: other, key: unit, weight },
      );
    }
    for (const towards of ["before", "behind"] as const) {
      const [from, to] = towards === "before" ? [0, facing.from] : [facing.to, values.length];
      const weight = farthest(values, from, to);
      if (weight !== 0 && Math.abs(weight) >= least) stubs.push({ head, side, unit, towards, weight });
    }
  }
  return { strokes, stubs };
}

/** The value that is the farthest from 0. */
function farthest(values: Float32Array, from: number, to: number): number {
  let best = 0;
  for (let place = from; place < to; place++) if (Math.abs(values[place]!) > Math.abs(best)) best = values[place]!;
  return best;
}

function strongest(found: readonly Strokes[]): Strokes {
  const bySize = (a: { weight: number }, b: { weight: number }) => Math.abs(b.weight) - Math.abs(a.weight);
  return {
    strokes: found
      .flatMap(({ strokes }) => strokes)
      .sort(bySize)
      .slice(0, MOST_STROKES),
    stubs: found
      .flatMap(({ stubs }) => stubs)
      .sort(bySize)
      .slice(0, MOST_STROKES),
  };
}
