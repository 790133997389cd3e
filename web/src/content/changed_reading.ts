/** Readings made of others: with some keys hidden, as the difference of two, as the mean of several. */

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

/** A sum of readings over the same units, each with a factor: a difference, or a mean. */
export class Combined implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact: boolean;
  private drawn: Grid | null = null;

  /** @param parts of the same size; those in cells have the same cells. */
  constructor(
    private readonly parts: readonly { reading: Reading; factor: number }[],
    readonly signed: boolean,
  ) {
    ({ queries: this.queries, keys: this.keys } = parts[0]!.reading);
    this.exact = parts.every(({ reading }) => reading.exact);
  }

  row(queries: Range): Line {
    return this.line((reading) => reading.row(queries));
  }

  column(keys: Range): Line {
    return this.line((reading) => reading.column(keys));
  }

  spot(queries: Range, keys: Range): Spot {
    const spots = this.parts.map(({ reading, factor }) => ({ spot: reading.spot(queries, keys), factor }));
    return {
      mean: spots.reduce((sum, { spot, factor }) => sum + factor * spot.mean, 0),
      max: spots.reduce((sum, { spot, factor }) => sum + factor * spot.max, 0),
      exact: spots.every(({ spot }) => spot.exact),
    };
  }

  grid(): Grid {
    if (this.drawn) return this.drawn;
    const grids = this.parts.map(({ reading, factor }) => ({ grid: reading.grid(), factor }));
    this.drawn = {
      ...grids[0]!.grid,
      mean: summed(grids.map(({ grid, factor }) => ({ values: grid.mean, factor }))),
      max: summed(grids.map(({ grid, factor }) => ({ values: grid.max, factor }))),
    };
    return this.drawn;
  }

  links(): readonly Link[] {
    return [];
  }

  exactQueries(): readonly number[] {
    const [first, ...others] = this.parts.map(({ reading }) => reading.exactQueries());
    return first!.filter((query) => others.every((queries) => queries.includes(query)));
  }

  private line(of: (reading: Reading) => Line): Line {
    const lines = this.parts.map(({ reading, factor }) => ({ ...of(reading), factor }));
    return { values: summed(lines), exact: lines.every(({ exact }) => exact) };
  }
}

/** Whether two readings can be told apart number by number. */
export function comparable(a: Reading, b: Reading): boolean {
  const [one, other] = [a.grid(), b.grid()];
  return alike(one.rowEdges, other.rowEdges) && alike(one.columnEdges, other.columnEdges);
}

const alike = (a: Uint32Array, b: Uint32Array) =>
  a.length === b.length && a.every((edge, place) => edge === b[place]);

function summed(parts: readonly { values: Float32Array; factor: number }[]): Float32Array {
  const sum = new Float32Array(parts[0]!.values.length);
  for (const { values, factor } of parts)
    for (let place = 0; place < sum.length; place++) sum[place]! += factor * values[place]!;
  return sum;
}
