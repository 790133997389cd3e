/** A head of which cells of neighbouring positions are known, beside some single weights and rows. */

import { type Coarse, coarser } from "./coarse";
import type { Positions, Range, Unit } from "./positions";
import type { Grid, Line, Link, Reading, Sides, Spot } from "./reading";

/** What is known of the head, in tokens. */
export interface KnownCells extends Coarse {
  links: readonly Link[];
  /** Exact weights on each key token, of some query tokens. */
  exactRows: ReadonlyMap<number, Float32Array>;
}

/** Reads cells: single weights where they are known; the rest of a cell is as even attention within it would be. */
export class CellsReading implements Reading {
  readonly queries: number;
  readonly keys: number;
  readonly exact = false;
  readonly signed = false;
  /** For each cell, the weight of each of its pairs that is no link. */
  private readonly rest: Float32Array;
  /** For each row of cells its links, with what they weigh more than the rest. */
  private readonly linksOfRow = new Map<number, (Link & { more: number })[]>();
  private readonly exactUnits = new Map<number, Float32Array>();
  private readonly single: readonly Link[];
  private drawn: Grid | null = null;

  constructor(
    private readonly sides: Sides,
    private readonly known: KnownCells,
  ) {
    const { queries, keys, unit } = sides;
    this.queries = queries.count(unit);
    this.keys = keys.count(unit);
    this.rest = this.evenly();
    for (const link of known.links) {
      const row = Math.floor(link.query / known.queriesACell);
      const rest = this.rest[row * known.columns + Math.floor(link.key / known.keysACell)]!;
      const beside = this.linksOfRow.get(row) ?? [];
      beside.push({ ...link, more: link.weight - rest });
      this.linksOfRow.set(row, beside);
    }
    this.single = this.linksOfUnits();
    for (const query of new Set([...known.exactRows.keys()].map((token) => queries.unitOf(unit, token)))) {
      const row = this.exactRow(query);
      if (row) this.exactUnits.set(query, row);
    }
  }

  row(range: Range): Line {
    const exact = this.exactLine(range);
    if (exact) return { values: exact, exact: true };
    const { queries, keys, unit } = this.sides;
    const { columns, keysACell } = this.known;
    const onCells = new Float64Array(columns);
    const values = new Float32Array(this.keys);
    const shares = sharesOf(queries, unit, range);
    for (const [row, share] of this.rows(shares)) {
      for (let column = 0; column < columns; column++)
        onCells[column]! += this.rest[row * columns + column]! * share;
      for (const { query, key, more } of this.linksOfRow.get(row) ?? [])
        values[keys.unitOf(unit, key)]! += more * (shares.get(query) ?? 0);
    }
    for (let column = 0; column < columns; column++) {
      const { from, to } = cell(column, keysACell, keys.tokens);
      for (let key = from; key < to; key++) values[keys.unitOf(unit, key)]! += onCells[column]!;
    }
    return { values, exact: false };
  }

  column(range: Range): Line {
    const { queries, keys, unit } = this.sides;
    const on = keys.tokensIn(unit, range);
    const values = new Float32Array(this.queries);
    const add = (token: number, weight: number) => {
      const query = queries.unitOf(unit, token);
      const { from, to } = queries.tokensOf(unit, query);
      values[query]! += weight / (to - from);
    };
    for (let row = 0; row < this.known.rows; row++) {
      const weight = this.restOn(row, on);
      const { from, to } = cell(row, this.known.queriesACell, queries.tokens);
      for (let token = from; token < to; token++) add(token, weight);
      for (const { query, key, more } of this.linksOfRow.get(row) ?? []) if (within(on, key)) add(query, more);
    }
    for (const [query, row] of this.exactUnits) values[query] = sum(row.subarray(range.from, range.to));
    return { values, exact: false };
  }

  spot(queries: Range, keys: Range): Spot {
    const { sides, known } = this;
    const shares = sharesOf(sides.queries, sides.unit, queries);
    const on = sides.keys.tokensIn(sides.unit, keys);
    const line = this.exactLine(queries);
    let max = 0;
    if (line) {
      for (const token of shares.keys())
        max = known.exactRows.get(token)!.subarray(on.from, on.to).reduce(larger, max);
      return { mean: sum(line.subarray(keys.from, keys.to)), max, exact: true };
    }
    let mean = 0;
    for (const [row, share] of this.rows(shares)) {
      mean += this.restOn(row, on) * share;
      for (let column = Math.floor(on.from / known.keysACell); column * known.keysACell < on.to; column++)
        max = larger(max, known.max[row * known.columns + column]!);
      for (const { query, key, weight, more } of this.linksOfRow.get(row) ?? []) {
        if (!shares.has(query) || !within(on, key)) continue;
        if (shares.size === 1 && on.to === on.from + 1) return { mean: weight, max: weight, exact: true };
        mean += more * shares.get(query)!;
      }
    }
    return { mean, max, exact: false };
  }

  grid(): Grid {
    this.drawn ??= coarser(this.sides, this.known);
    return this.drawn;
  }

  links(): readonly Link[] {
    return this.single;
  }

  exactQueries(): readonly number[] {
    return [...this.exactUnits.keys()];
  }

  /** What is left of each cell without its links, for each of its other pairs. */
  private evenly(): Float32Array {
    const { rows, columns, queriesACell, keysACell, mean, links } = this.known;
    const size = (place: number, whole: number, tokens: number) => Math.min(whole, tokens - place * whole);
    const linked = new Map<number, { weight: number; count: number }>();
    for (const { query, key, weight } of links) {
      const place = Math.floor(query / queriesACell) * columns + Math.floor(key / keysACell);
      const before = linked.get(place) ?? { weight: 0, count: 0 };
      linked.set(place, { weight: before.weight + weight, count: before.count + 1 });
    }
    const rest = new Float32Array(rows * columns);
    for (let place = 0; place < rest.length; place++) {
      const down = size(Math.floor(place / columns), queriesACell, this.sides.queries.tokens);
      const across = size(place % columns, keysACell, this.sides.keys.tokens);
      const { weight, count } = linked.get(place) ?? { weight: 0, count: 0 };
      rest[place] = Math.max(0, mean[place]! * down - weight) / Math.max(1, down * across - count);
    }
    return rest;
  }

  /** The rows of cells that queries lie in, each with their share. */
  private rows(shares: ReadonlyMap<number, number>): Map<number, number> {
    const rows = new Map<number, number>();
    for (const [token, share] of shares) {
      const row = Math.floor(token / this.known.queriesACell);
      rows.set(row, (rows.get(row) ?? 0) + share);
    }
    return rows;
  }

  /** The weight of a query in a row of cells on key tokens together, without what links weigh more. */
  private restOn(row: number, keys: Range): number {
    const { columns, keysACell } = this.known;
    let weight = 0;
    for (let column = Math.floor(keys.from / keysACell); column * keysACell < keys.to; column++) {
      const { from, to } = cell(column, keysACell, this.sides.keys.tokens);
      weight += this.rest[row * columns + column]! * (Math.min(to, keys.to) - Math.max(from, keys.from));
    }
    return weight;
  }

  /** The exact weights on each key unit, averaged over queries, if those of every one are known. */
  private exactLine({ from, to }: Range): Float32Array | null {
    const values = new Float32Array(this.keys);
    for (let query = from; query < to; query++) {
      const row = this.exactUnits.get(query);
      if (!row) return null;
      for (let key = 0; key < values.length; key++) values[key]! += row[key]! / (to - from);
    }
    return to > from ? values : null;
  }

  /** The exact weights of a query unit on each key unit, if those of all its tokens are known. */
  private exactRow(query: number): Float32Array | null {
    const { queries, keys, unit } = this.sides;
    const { from, to } = queries.tokensOf(unit, query);
    const values = new Float32Array(this.keys);
    for (let token = from; token < to; token++) {
      const row = this.known.exactRows.get(token);
      if (!row) return null;
      for (let key = 0; key < row.length; key++) values[keys.unitOf(unit, key)]! += row[key]! / (to - from);
    }
    return values;
  }

  /** What the links are between units, strongest first: at least this much is there. */
  private linksOfUnits(): Link[] {
    const { queries, keys, unit } = this.sides;
    const found = new Map<number, Link>();
    for (const link of this.known.links) {
      const [query, key] = [queries.unitOf(unit, link.query), keys.unitOf(unit, link.key)];
      const { from, to } = queries.tokensOf(unit, query);
      const weight = (found.get(query * this.keys + key)?.weight ?? 0) + link.weight / (to - from);
      found.set(query * this.keys + key, { query, key, weight });
    }
    return [...found.values()].sort((a, b) => b.weight - a.weight);
  }
}

const larger = (a: number, b: number) => Math.max(a, b);
const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0);
const within = ({ from, to }: Range, place: number) => from <= place && place < to;

/** The tokens of a cell. */
const cell = (place: number, size: number, tokens: number): Range => ({
  from: place * size,
  to: Math.min(tokens, (place + 1) * size),
});

/** The tokens of a range of units, each with its share in their mean: that of its unit, divided among the unit's tokens. */
function sharesOf(positions: Positions, unit: Unit, range: Range): Map<number, number> {
  const shares = new Map<number, number>();
  for (let index = range.from; index < range.to; index++) {
    const { from, to } = positions.tokensOf(unit, index);
    for (let token = from; token < to; token++) shares.set(token, 1 / (to - from) / (range.to - range.from));
  }
  return shares;
}
