/** A head of which cells of neighbouring positions are known, beside some single weights and rows. */

import type { Positions, Range, Unit } from "./positions";
import type { Grid, Line, Link, Reading, Sides, Spot } from "./reading";

/** What is known of the head, in tokens. */
export interface KnownCells {
  rows: number;
  columns: number;
  queriesACell: number;
  keysACell: number;
  mean: Float32Array;
  max: Float32Array;
  links: readonly Link[];
  /** Exact weights on each key token, of some query tokens. */
  exactRows: ReadonlyMap<number, Float32Array>;
}

/** Reads cells; a unit's share of a cell is what even attention within the cell would be. */
export class CellsReading implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact = false;
  readonly signed = false;
  private readonly rowEdges: Uint32Array;
  private readonly columnEdges: Uint32Array;
  private readonly single: Link[];

  constructor(
    private readonly sides: Sides,
    private readonly known: KnownCells,
  ) {
    const { queries, keys, unit } = sides;
    this.queries = queries.count(unit);
    this.keys = keys.count(unit);
    this.rowEdges = edges(queries, unit, known.rows, known.queriesACell);
    this.columnEdges = edges(keys, unit, known.columns, known.keysACell);
    this.single = known.links.map(({ query, key, weight }) => ({
      query: queries.unitOf(unit, query),
      key: keys.unitOf(unit, key),
      weight,
    }));
  }

  row(range: Range): Line {
    const exact = this.exactRow(range);
    if (exact) return { values: exact, exact: true };
    const values = new Float32Array(this.keys);
    for (const [row, share] of shares(this.rowEdges, range))
      for (let column = 0; column < this.known.columns; column++) {
        const { from, to } = between(this.columnEdges, column);
        const weight = (this.known.mean[row * this.known.columns + column]! * share) / Math.max(1, to - from);
        for (let key = from; key < to; key++) values[key]! += weight;
      }
    if (range.to === range.from + 1)
      for (const { query, key, weight } of this.single)
        if (query === range.from) values[key] = Math.max(values[key]!, weight);
    return { values, exact: false };
  }

  column(range: Range): Line {
    const values = new Float32Array(this.queries);
    for (let row = 0; row < this.known.rows; row++) {
      const { from, to } = between(this.rowEdges, row);
      values.fill(this.onKeys(row, range), from, to);
    }
    if (range.to === range.from + 1)
      for (const { query, key, weight } of this.single)
        if (key === range.from) values[query] = Math.max(values[query]!, weight);
    return { values, exact: false };
  }

  spot(queries: Range, keys: Range): Spot {
    const exact = this.exactRow(queries);
    if (exact) {
      const part = exact.subarray(keys.from, keys.to);
      return { mean: part.reduce((sum, weight) => sum + weight, 0), max: Math.max(0, ...part), exact: true };
    }
    let mean = 0;
    let max = 0;
    for (const [row, share] of shares(this.rowEdges, queries)) {
      mean += this.onKeys(row, keys) * share;
      for (const [column] of shares(this.columnEdges, keys))
        max = Math.max(max, this.known.max[row * this.known.columns + column]!);
    }
    const link = this.single.find(({ query, key }) => isOnly(queries, query) && isOnly(keys, key));
    return link ? { mean: link.weight, max: link.weight, exact: true } : { mean, max, exact: false };
  }

  grid(): Grid {
    const { rows, columns, mean, max } = this.known;
    return { rows, columns, rowEdges: this.rowEdges, columnEdges: this.columnEdges, mean, max };
  }

  links(): readonly Link[] {
    return this.single;
  }

  exactQueries(): readonly number[] {
    const { queries, unit } = this.sides;
    return [...new Set([...this.known.exactRows.keys()].map((token) => queries.unitOf(unit, token)))];
  }

  /** The weight of the queries of a row of cells on keys together. */
  private onKeys(row: number, keys: Range): number {
    let weight = 0;
    for (const [column] of shares(this.columnEdges, keys)) {
      const { from, to } = between(this.columnEdges, column);
      const part = (Math.min(to, keys.to) - Math.max(from, keys.from)) / (to - from);
      weight += this.known.mean[row * this.known.columns + column]! * part;
    }
    return weight;
  }

  /** The exact weights on each key unit, if those of every query token are known. */
  private exactRow(range: Range): Float32Array | null {
    const { queries, keys, unit } = this.sides;
    const from = range.from < range.to ? queries.tokensOf(unit, range.from).from : 0;
    const to = range.from < range.to ? queries.tokensOf(unit, range.to - 1).to : 0;
    const rows: Float32Array[] = [];
    for (let token = from; token < to; token++) {
      const row = this.known.exactRows.get(token);
      if (!row) return null;
      rows.push(row);
    }
    if (rows.length === 0) return null;
    const values = new Float32Array(this.keys);
    for (const row of rows)
      for (let token = 0; token < row.length; token++)
        values[keys.unitOf(unit, token)]! += row[token]! / rows.length;
    return values;
  }
}

const isOnly = ({ from, to }: Range, unit: number) => from === unit && to === unit + 1;

const between = (edges: Uint32Array, cell: number): Range => ({ from: edges[cell]!, to: edges[cell + 1]! });

/** The first unit of each cell, and after the last one how many units there are. */
function edges(positions: Positions, unit: Unit, cells: number, tokensACell: number): Uint32Array {
  const count = positions.count(unit);
  return Uint32Array.from({ length: cells + 1 }, (_, cell) =>
    cell === cells ? count : positions.unitOf(unit, cell * tokensACell),
  );
}

/** The cells that a range touches, each with its share of the range. */
function* shares(edges: Uint32Array, range: Range): Generator<[cell: number, share: number]> {
  let low = 0;
  let high = edges.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle]! <= range.from) low = middle;
    else high = middle - 1;
  }
  for (let cell = low; cell < edges.length - 1 && edges[cell]! < range.to; cell++) {
    const inside = Math.min(edges[cell + 1]!, range.to) - Math.max(edges[cell]!, range.from);
    if (inside > 0) yield [cell, inside / (range.to - range.from)];
  }
}
