/** From weights to a score for each pair of residues: the mean of both directions, corrected where that is asked for. */

import type { Grid, Link } from "../../content/reading";

/** Scores of pairs, alike in both orders, side by side. */
export interface Scores {
  side: number;
  values: Float32Array;
}

/** The mean of both directions' weights between units; within cells, each pair's even share. */
export function symmetric(grid: Grid, units: Uint32Array): Scores {
  const side = units.length;
  const rows = cellsOf(grid.rowEdges, units);
  const columns = cellsOf(grid.columnEdges, units);
  const values = new Float32Array(side * side);
  const share = Float32Array.from(
    { length: grid.columns },
    (_, column) => 1 / Math.max(1, grid.columnEdges[column + 1]! - grid.columnEdges[column]!),
  );
  const weight = (row: number, column: number) => grid.mean[row * grid.columns + column]! * share[column]!;
  for (let a = 0; a < side; a++)
    for (let b = a; b < side; b++)
      values[a * side + b] = values[b * side + a] =
        (weight(rows[a]!, columns[b]!) + weight(rows[b]!, columns[a]!)) / 2;
  return { side, values };
}

/**
 * The average product correction: s_ij - s_i s_j / s, means without the diagonal.
 *
 * Dunn, Wahl, Gloor: Mutual information without the influence of phylogeny or entropy dramatically improves residue
 * contact prediction. Bioinformatics, 2008.
 */
export function corrected({ side, values }: Scores): Scores {
  const means = Float64Array.from({ length: side }, (_, a) => {
    let sum = 0;
    for (let b = 0; b < side; b++) if (b !== a) sum += values[a * side + b]!;
    return sum / Math.max(1, side - 1);
  });
  const overall = means.reduce((sum, mean) => sum + mean, 0) / Math.max(1, side);
  if (overall === 0) return { side, values };
  const fixed = values.map(
    (value, place) => value - (means[Math.floor(place / side)]! * means[place % side]!) / overall,
  );
  return { side, values: fixed };
}

/** The cell of each unit. */
function cellsOf(edges: Uint32Array, units: Uint32Array): Uint32Array {
  let cell = 0;
  return units.map((unit) => {
    while (cell > 0 && edges[cell]! > unit) cell--;
    while (cell < edges.length - 2 && edges[cell + 1]! <= unit) cell++;
    return cell;
  });
}

/** A pair of residues, the earlier one first. */
export interface Pair {
  a: number;
  b: number;
  score: number;
}

/** The strongest pairs among those allowed, strongest first, by a size that must be above 0. */
export function strongest(
  { side, values }: Scores,
  isAllowed: (a: number, b: number) => boolean,
  count: number,
  size: (score: number) => number,
): Pair[] {
  const sizes: number[] = [];
  for (let a = 0; a < side; a++)
    for (let b = a + 1; b < side; b++) if (isAllowed(a, b)) sizes.push(size(values[a * side + b]!));
  const least = Float32Array.from(sizes).sort()[Math.max(0, sizes.length - count)] ?? 0;
  const found: Pair[] = [];
  for (let a = 0; a < side; a++)
    for (let b = a + 1; b < side; b++) {
      const score = values[a * side + b]!;
      if (size(score) >= least && size(score) > 0 && isAllowed(a, b)) found.push({ a, b, score });
    }
  return found.sort((one, other) => size(other.score) - size(one.score)).slice(0, count);
}

/** The strongest pairs of single weights that are known beside cells; an unknown direction counts as none. */
export function strongestOfLinks(
  links: readonly Link[],
  residues: ReadonlyMap<number, number>,
  isAllowed: (a: number, b: number) => boolean,
  count: number,
): Pair[] {
  const found = new Map<string, Pair>();
  for (const { query, key, weight } of links) {
    const [one, other] = [residues.get(query), residues.get(key)];
    if (one === undefined || other === undefined) continue;
    const [a, b] = [Math.min(one, other), Math.max(one, other)];
    if (a === b || !isAllowed(a, b)) continue;
    const pair = found.get(`${a},${b}`) ?? { a, b, score: 0 };
    pair.score += weight / 2;
    found.set(`${a},${b}`, pair);
  }
  return [...found.values()].sort((one, other) => other.score - one.score).slice(0, count);
}

/** How many of the strongest pairs touch. */
export interface Precision {
  name: string;
  pairs: number;
  share: number;
}

/** The precision of the strongest L, L/2 and L/5 pairs, as the field has it. */
export function precisions(
  pairs: readonly Pair[],
  length: number,
  touch: (a: number, b: number) => boolean,
): Precision[] {
  const parts = [
    ["L", 1],
    ["L/2", 2],
    ["L/5", 5],
  ] as const;
  return parts.flatMap(([name, part]) => {
    const first = pairs.slice(0, Math.max(1, Math.floor(length / part)));
    if (first.length === 0) return [];
    return [{ name, pairs: first.length, share: first.filter(({ a, b }) => touch(a, b)).length / first.length }];
  });
}
