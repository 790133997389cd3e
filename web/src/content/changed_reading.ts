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

  constructor(
    private readonly of: Reading,
    private readonly isHidden: (key: number) => boolean,
  ) {
    ({ queries: this.queries, keys: this.keys, exact: this.exact, signed: this.signed } = of);
  }

  row(queries: Range): Line {
    const line = this.of.row(queries);
    return { ...line, values: line.values.map((value, key) => (this.isHidden(key) ? 0 : value)) };
  }

  column(keys: Range): Line {
    if (keys.to === keys.from + 1 && this.isHidden(keys.from))
      return { values: new Float32Array(this.queries), exact: true };
    return this.of.column(keys);
  }

  spot(queries: Range, keys: Range): Spot {
    if (keys.to === keys.from + 1 && this.isHidden(keys.from)) return { mean: 0, max: 0, exact: true };
    return this.of.spot(queries, keys);
  }

  /** Cells that hold a hidden key are empty. */
  grid(): Grid {
    if (this.drawn) return this.drawn;
    const grid = this.of.grid();
    const hidden = Array.from({ length: grid.columns }, (_, column) => {
      for (let key = grid.columnEdges[column]!; key < grid.columnEdges[column + 1]!; key++)
        if (this.isHidden(key)) return true;
      return false;
    });
    const kept = (values: Float32Array) => values.map((value, place) => (hidden[place % grid.columns] ? 0 : value));
    this.drawn = { ...grid, mean: kept(grid.mean), max: kept(grid.max) };
    return this.drawn;
  }

  links(): readonly Link[] {
    return this.of.links().filter(({ key }) => !this.isHidden(key));
  }

  exactQueries(): readonly number[] {
    return this.of.exactQueries();
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
  return a.queries === b.queries && a.keys === b.keys && one.rows === other.rows && one.columns === other.columns;
}

function summed(parts: readonly { values: Float32Array; factor: number }[]): Float32Array {
  const sum = new Float32Array(parts[0]!.values.length);
  for (const { values, factor } of parts)
    for (let place = 0; place < sum.length; place++) sum[place]! += factor * values[place]!;
  return sum;
}
