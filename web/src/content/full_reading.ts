/** A head of which every weight is known. */

import type { Range } from "./positions";
import type { Grid, Line, Link, Reading, Sides, Spot } from "./reading";

/** Reads every weight, in words or tokens. */
export class FullReading implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact = true;
  readonly signed = false;
  private readonly mean: Float32Array;
  private readonly max: Float32Array;

  /** @param weights of each query token on each key token, row by row. */
  constructor(sides: Sides, weights: Float32Array) {
    const { queries, keys, unit } = sides;
    this.queries = queries.count(unit);
    this.keys = keys.count(unit);
    if (this.queries === queries.tokens && this.keys === keys.tokens) {
      this.mean = this.max = weights;
    } else {
      [this.mean, this.max] = joined(sides, weights, this.queries, this.keys);
    }
  }

  row({ from, to }: Range): Line {
    const values = new Float32Array(this.keys);
    for (let query = from; query < to; query++)
      for (let key = 0; key < this.keys; key++) values[key]! += this.mean[query * this.keys + key]! / (to - from);
    return { values, exact: true };
  }

  column({ from, to }: Range): Line {
    const values = new Float32Array(this.queries);
    for (let query = 0; query < this.queries; query++)
      for (let key = from; key < to; key++) values[query]! += this.mean[query * this.keys + key]!;
    return { values, exact: true };
  }

  spot(queries: Range, keys: Range): Spot {
    let mean = 0;
    let max = 0;
    for (let query = queries.from; query < queries.to; query++) {
      for (let key = keys.from; key < keys.to; key++) {
        mean += this.mean[query * this.keys + key]! / (queries.to - queries.from);
        max = Math.max(max, this.max[query * this.keys + key]!);
      }
    }
    return { mean, max, exact: true };
  }

  grid(): Grid {
    return {
      rows: this.queries,
      columns: this.keys,
      rowEdges: Uint32Array.from({ length: this.queries + 1 }, (_, edge) => edge),
      columnEdges: Uint32Array.from({ length: this.keys + 1 }, (_, edge) => edge),
      mean: this.mean,
      max: this.max,
    };
  }

  links(): readonly Link[] {
    return [];
  }

  exactQueries(): readonly number[] {
    return [];
  }
}

/** The weights between words: on all tokens of the key together, averaged over those of the query; and the largest. */
function joined({ queries, keys }: Sides, weights: Float32Array, rows: number, columns: number) {
  const mean = new Float32Array(rows * columns);
  const max = new Float32Array(rows * columns);
  for (let query = 0; query < queries.tokens; query++) {
    const row = queries.wordOf[query]!;
    const share = 1 / (queries.starts[row + 1]! - queries.starts[row]!);
    for (let key = 0; key < keys.tokens; key++) {
      const place = row * columns + keys.wordOf[key]!;
      const weight = weights[query * keys.tokens + key]!;
      mean[place]! += weight * share;
      max[place] = Math.max(max[place]!, weight);
    }
  }
  return [mean, max] as const;
}
