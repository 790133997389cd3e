/** Readings made of others: with some keys hidden, and as the difference of two. */

import type { Range } from "./positions";
import type { Grid, Line, Link, Reading, Spot } from "./reading";

/** A reading in which some keys take no weight; what is left is not made larger. */
export class WithoutKeys implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact: boolean;
  readonly signed: boolean;
  private drawn: Grid | null = null;

  /** @param hidden 1 for each key that is hidden. */
  constructor(
    private readonly of: Reading,
    private readonly hidden: Uint8Array,
  ) {
    ({ queries: this.queries, keys: this.keys, exact: this.exact, signed: this.signed } = of);
  }

  row(queries: Range): Line {
    const line = this.of.row(queries);
    return { ...line, values: line.values.map((value, key) => (this.hidden[key] ? 0 : value)) };
  }

  column(keys: Range): Line {
    const lines = this.shown(keys).map((part) => this.of.column(part));
    if (lines.length === 1) return lines[0]!;
    const values = new Float32Array(this.queries);
    for (const line of lines)
      for (let query = 0; query < values.length; query++) values[query]! += line.values[query]!;
    return { values, exact: lines.every(({ exact }) => exact) };
  }

  spot(queries: Range, keys: Range): Spot {
    const spots = this.shown(keys).map((part) => this.of.spot(queries, part));
    return {
      mean: spots.reduce((sum, { mean }) => sum + mean, 0),
      max: spots.reduce((largest, { max }) => (Math.abs(max) > Math.abs(largest) ? max : largest), 0),
      exact: spots.every(({ exact }) => exact),
    };
  }

  /** Cells that hold a hidden key are empty. */
  grid(): Grid {
    if (this.drawn) return this.drawn;
    const grid = this.of.grid();
    const emptied = Array.from({ length: grid.columns }, (_, column) =>
      this.hidden.subarray(grid.columnEdges[column]!, grid.columnEdges[column + 1]!).includes(1),
    );
    const kept = (values: Float32Array) =>
      values.map((value, place) => (emptied[place % grid.columns] ? 0 : value));
    this.drawn = { ...grid, mean: kept(grid.mean), max: kept(grid.max) };
    return this.drawn;
  }

  links(): readonly Link[] {
    return this.of.links().filter(({ key }) => !this.hidden[key]);
  }

  exactQueries(): readonly number[] {
    return this.of.exactQueries();
  }

  /** The stretches of a range that are not hidden. */
  private shown({ from, to }: Range): Range[] {
    const parts: Range[] = [];
    for (let key = from; key < to; key++) {
      if (this.hidden[key]) continue;
      const last = parts.at(-1);
      if (last?.to === key) last.to++;
      else parts.push({ from: key, to: key + 1 });
    }
    return parts;
  }
}

/** What one reading has more than another one over the same units. */
export class Difference implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact: boolean;
  readonly signed = true;
  private drawn: Grid | null = null;

  /** @param b of the same size as `a`; if they are in cells, of the same cells. */
  constructor(
    private readonly a: Reading,
    private readonly b: Reading,
  ) {
    ({ queries: this.queries, keys: this.keys } = a);
    this.exact = a.exact && b.exact;
  }

  row(queries: Range): Line {
    return between(this.a.row(queries), this.b.row(queries));
  }

  column(keys: Range): Line {
    return between(this.a.column(keys), this.b.column(keys));
  }

  spot(queries: Range, keys: Range): Spot {
    const [a, b] = [this.a.spot(queries, keys), this.b.spot(queries, keys)];
    return { mean: a.mean - b.mean, max: a.max - b.max, exact: a.exact && b.exact };
  }

  grid(): Grid {
    if (this.drawn) return this.drawn;
    const [a, b] = [this.a.grid(), this.b.grid()];
    this.drawn = { ...a, mean: subtracted(a.mean, b.mean), max: subtracted(a.max, b.max) };
    return this.drawn;
  }

  links(): readonly Link[] {
    return [];
  }

  exactQueries(): readonly number[] {
    const others = new Set(this.b.exactQueries());
    return this.a.exactQueries().filter((query) => others.has(query));
  }
}

const between = (a: Line, b: Line): Line => ({
  values: subtracted(a.values, b.values),
  exact: a.exact && b.exact,
});

const subtracted = (a: Float32Array, b: Float32Array) => a.map((value, place) => value - b[place]!);

/** Whether two readings can be told apart number by number. */
export function comparable(a: Reading, b: Reading): boolean {
  const [one, other] = [a.grid(), b.grid()];
  return alike(one.rowEdges, other.rowEdges) && alike(one.columnEdges, other.columnEdges);
}

const alike = (a: Uint32Array, b: Uint32Array) =>
  a.length === b.length && a.every((edge, place) => edge === b[place]);
