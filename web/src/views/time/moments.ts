/** When attention lies in a sound: the weighted mean time of each row of a map, and how far it spreads. */

import type { Positions, Unit } from "../../content/positions";
import type { Grid } from "../../content/reading";
import type { SoundSegment } from "../../content/schema";

/** Attention of one row of the map, or of one column where the sound is what attends. */
export interface Moment {
  /** Units from the first up to one after the last. */
  from: number;
  to: number;
  /** Weighted mean and standard deviation in seconds; NaN where no weight lies in the sound. */
  mean: number;
  spread: number;
}

/** Less weight than this on a sound has no place in it. */
const LEAST = 1e-6;

/** The moments of all rows (of all columns, if the sound is on the side of the queries). */
export function momentsOf(
  grid: Grid,
  side: "queries" | "keys",
  times: readonly (number | null)[],
): readonly Moment[] {
  const isKeys = side === "keys";
  const [count, edges] = isKeys ? [grid.rows, grid.rowEdges] : [grid.columns, grid.columnEdges];
  return Array.from({ length: count }, (_, item) => {
    let [sum, first, second] = [0, 0, 0];
    for (const [place, time] of times.entries()) {
      if (time === null) continue;
      // The weight on keys adds up in a cell; that of queries is their mean, which counts for each of them.
      const weight = isKeys
        ? grid.mean[item * grid.columns + place]!
        : grid.mean[place * grid.columns + item]! * (grid.rowEdges[place + 1]! - grid.rowEdges[place]!);
      sum += weight;
      first += weight * time;
      second += weight * time * time;
    }
    const mean = sum < LEAST ? Number.NaN : first / sum;
    return {
      from: edges[item]!,
      to: edges[item + 1]!,
      mean,
      spread: Math.sqrt(Math.max(0, second / sum - mean ** 2)),
    };
  });
}

/** The middle of each row's or column's time; null outside the sound. */
export function timesOf(
  edges: Uint32Array,
  positions: Positions,
  unit: Unit,
  segment: SoundSegment,
): (number | null)[] {
  return Array.from({ length: edges.length - 1 }, (_, cell) => {
    if (edges[cell] === edges[cell + 1]) return null;
    const { from } = positions.tokensOf(unit, edges[cell]!);
    const { to } = positions.tokensOf(unit, edges[cell + 1]! - 1);
    return from >= segment.start && to <= segment.stop ? timeAt(segment, (from + to) / 2) : null;
  });
}

/** The time at a token's beginning; half a token more is its middle. */
export function timeAt({ start, stop, seconds }: SoundSegment, token: number): number {
  return ((token - start) / (stop - start)) * seconds;
}

/** Numbers in at most so many places, each the number of the largest size there. */
export function envelope(values: Float32Array, places: number): Float32Array {
  if (values.length <= places) return values;
  const kept = new Float32Array(places);
  for (const [index, value] of values.entries()) {
    const place = Math.floor((index * places) / values.length);
    if (Math.abs(value) > Math.abs(kept[place]!)) kept[place] = value;
  }
  return kept;
}
