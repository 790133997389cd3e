/** Readings against plain loops over the weights of tokens. */

import { describe, expect, it } from "vitest";
import { CellsReading, type KnownCells } from "../src/content/cells_reading";
import { comparable, Difference, WithoutKeys } from "../src/content/changed_reading";
import { FullReading } from "../src/content/full_reading";
import type { Range, Unit } from "../src/content/positions";
import type { Reading, Sides } from "../src/content/reading";
import { positions, weights } from "./made";

const SIZES = [1, 3, 2, 1, 0, 4, 2];
const KEYS = [2, 1, 5, 1, 3];
const [queries, keys] = [positions(SIZES), positions(KEYS, [], [3])];
const dense = weights(queries.tokens, keys.tokens, 7);
const UNITS: Unit[] = ["words", "tokens"];
const RANGES: Range[] = [
  { from: 0, to: 1 },
  { from: 1, to: 4 },
  { from: 2, to: 3 },
];

/** The weight of a query unit on a key unit: on all tokens of the key, averaged over those of the query; the largest. */
function between(unit: Unit, query: number, key: number): { mean: number; max: number } {
  const [rows, columns] = [queries.tokensOf(unit, query), keys.tokensOf(unit, key)];
  let [mean, max] = [0, 0];
  for (let row = rows.from; row < rows.to; row++)
    for (let column = columns.from; column < columns.to; column++) {
      const weight = dense[row * keys.tokens + column]!;
      mean += weight / (rows.to - rows.from);
      max = Math.max(max, weight);
    }
  return { mean, max };
}

/** What a reading has to say, from the weights themselves. */
function truth(unit: Unit, isHidden = (_key: number) => false) {
  const at = (query: number, key: number) => (isHidden(key) ? { mean: 0, max: 0 } : between(unit, query, key));
  const each = ({ from, to }: Range) => Array.from({ length: to - from }, (_, place) => from + place);
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
  return {
    row: (range: Range) =>
      each({ from: 0, to: keys.count(unit) }).map(
        (key) => sum(each(range).map((query) => at(query, key).mean)) / (range.to - range.from),
      ),
    column: (range: Range) =>
      each({ from: 0, to: queries.count(unit) }).map((query) => sum(each(range).map((key) => at(query, key).mean))),
    spot: (rows: Range, columns: Range) => ({
      mean:
        sum(each(rows).flatMap((query) => each(columns).map((key) => at(query, key).mean))) / (rows.to - rows.from),
      max: Math.max(...each(rows).flatMap((query) => each(columns).map((key) => at(query, key).max))),
    }),
  };
}

function expectTrue(reading: Reading, expected: ReturnType<typeof truth>): void {
  const close = (values: Float32Array, others: number[]) => {
    expect(values.length).toBe(others.length);
    others.forEach((value, place) => {
      expect(values[place]).toBeCloseTo(value, 6);
    });
  };
  for (const range of RANGES) {
    close(reading.row(range).values, expected.row(range));
    close(reading.column(range).values, expected.column(range));
    for (const columns of RANGES) {
      const [spot, right] = [reading.spot(range, columns), expected.spot(range, columns)];
      expect(spot.mean).toBeCloseTo(right.mean, 6);
      expect(spot.max).toBeCloseTo(right.max, 6);
    }
  }
}

/** The weights in cells, as Python makes them. */
function inCells(queriesACell: number, keysACell: number, more: Partial<KnownCells> = {}): KnownCells {
  const rows = Math.ceil(queries.tokens / queriesACell);
  const columns = Math.ceil(keys.tokens / keysACell);
  const mean = new Float32Array(rows * columns);
  const max = new Float32Array(rows * columns);
  for (let query = 0; query < queries.tokens; query++)
    for (let key = 0; key < keys.tokens; key++) {
      const row = Math.floor(query / queriesACell);
      const place = row * columns + Math.floor(key / keysACell);
      const size = Math.min(queriesACell, queries.tokens - row * queriesACell);
      mean[place]! += dense[query * keys.tokens + key]! / size;
      max[place] = Math.max(max[place]!, dense[query * keys.tokens + key]!);
    }
  return { rows, columns, queriesACell, keysACell, mean, max, links: [], exactRows: new Map(), ...more };
}

const exactRow = (query: number) => dense.subarray(query * keys.tokens, (query + 1) * keys.tokens);

describe.each(UNITS)("in %s", (unit) => {
  const sides: Sides = { queries, keys, unit };
  const full = new FullReading(sides, dense);

  it("a full reading is the weights", () => expectTrue(full, truth(unit)));

  it("hidden keys take nothing, in ranges too", () => {
    const hidden = Uint8Array.from({ length: keys.count(unit) }, (_, key) => Number(key === 0 || key === 2));
    const without = new WithoutKeys(full, hidden);
    expectTrue(
      without,
      truth(unit, (key) => hidden[key] === 1),
    );
    const grid = without.grid();
    for (let place = 0; place < grid.mean.length; place++)
      expect(grid.mean[place]).toBe(hidden[place % grid.columns] ? 0 : full.grid().mean[place]);
  });

  it("cells of one token are the weights where no word has several", () => {
    const reading = new CellsReading({ ...sides, unit: "tokens" }, inCells(1, 1));
    expectTrue(reading, truth("tokens"));
    expect(reading.row(RANGES[0]!).exact).toBe(false);
  });

  it("cells keep the weight of all keys together", () => {
    for (const [down, across] of [
      [2, 3],
      [4, 2],
      [1, 1],
      [3, 5],
    ] as const) {
      const reading = new CellsReading(sides, inCells(down, across));
      const whole = { from: 0, to: reading.keys };
      for (let query = 0; query < reading.queries; query++) {
        const tokens = queries.tokensOf(unit, query);
        const expected = tokens.to > tokens.from ? 1 : 0;
        const row = reading.row({ from: query, to: query + 1 }).values;
        expect(row.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(expected, 5);
        expect(reading.spot({ from: query, to: query + 1 }, whole).mean).toBeCloseTo(expected, 5);
        expect(reading.column(whole).values[query]).toBeCloseTo(expected, 5);
      }
      const grid = reading.grid();
      for (let row = 0; row < grid.rows; row++)
        expect(
          grid.mean.subarray(row * grid.columns, (row + 1) * grid.columns).reduce((sum, weight) => sum + weight, 0),
        ).toBeCloseTo(1, 5);
      expect(Math.max(...grid.max)).toBe(Math.max(...dense));
      expect([...grid.rowEdges].every((edge, place) => place === 0 || edge > grid.rowEdges[place - 1]!)).toBe(true);
      expect(grid.rowEdges[grid.rows]).toBe(reading.queries);
    }
  });

  it("rows, columns and spots of cells agree with one another", () => {
    const links = [
      { query: 5, key: 4, weight: exactRow(5)[4]! },
      { query: 9, key: 0, weight: exactRow(9)[0]! },
    ];
    const reading = new CellsReading(sides, inCells(3, 2, { links, exactRows: new Map([[2, exactRow(2)]]) }));
    for (let query = 0; query < reading.queries; query++)
      for (let key = 0; key < reading.keys; key++) {
        const [row, column] = [
          { from: query, to: query + 1 },
          { from: key, to: key + 1 },
        ];
        const { mean } = reading.spot(row, column);
        expect(reading.row(row).values[key]).toBeCloseTo(mean, 6);
        expect(reading.column(column).values[query]).toBeCloseTo(mean, 6);
      }
  });

  it("rows that are known are exact", () => {
    const wanted = queries.tokensOf(unit, 1);
    const rows = new Map<number, Float32Array>();
    for (let token = wanted.from; token < wanted.to; token++) rows.set(token, exactRow(token));
    const reading = new CellsReading(sides, inCells(4, 4, { exactRows: rows }));
    const row = { from: 1, to: 2 };
    expect(reading.exactQueries()).toEqual([1]);
    expect(reading.row(row).exact).toBe(true);
    truth(unit)
      .row(row)
      .forEach((value, key) => {
        expect(reading.row(row).values[key]).toBeCloseTo(value, 6);
      });
    for (const range of RANGES) {
      const right = truth(unit).spot(row, range);
      expect(reading.spot(row, range)).toMatchObject({ exact: true });
      expect(reading.spot(row, range).mean).toBeCloseTo(right.mean, 6);
      expect(reading.spot(row, range).max).toBeCloseTo(right.max, 6);
    }
  });

  it("a word of which only some tokens' rows are known is not exact", () => {
    const reading = new CellsReading(
      { ...sides, unit: "words" },
      inCells(4, 4, { exactRows: new Map([[1, exactRow(1)]]) }),
    );
    expect(reading.exactQueries()).toEqual([]);
    expect(reading.row({ from: 1, to: 2 }).exact).toBe(false);
  });

  it("a difference with itself is 0, and with another the difference", () => {
    const other = new FullReading(sides, weights(queries.tokens, keys.tokens, 9));
    expect(new Difference(full, full).grid().mean.every((value) => value === 0)).toBe(true);
    const range = RANGES[1]!;
    const [a, b] = [full.row(range).values, other.row(range).values];
    new Difference(full, other).row(range).values.forEach((value, key) => {
      expect(value).toBeCloseTo(a[key]! - b[key]!, 6);
    });
    expect(comparable(full, other)).toBe(true);
    expect(comparable(full, new CellsReading(sides, inCells(4, 4)))).toBe(false);
  });
});

it("links of single tokens are exact, and their words hold at least their share", () => {
  const links = [{ query: 2, key: 5, weight: exactRow(2)[5]! }];
  const tokens = new CellsReading({ queries, keys, unit: "tokens" }, inCells(4, 4, { links }));
  expect(tokens.spot({ from: 2, to: 3 }, { from: 5, to: 6 })).toEqual({
    mean: links[0]!.weight,
    max: links[0]!.weight,
    exact: true,
  });
  const words = new CellsReading({ queries, keys, unit: "words" }, inCells(4, 4, { links }));
  expect(words.links()).toEqual([{ query: 1, key: 2, weight: links[0]!.weight / 3 }]);
  expect(words.spot({ from: 1, to: 2 }, { from: 2, to: 3 }).exact).toBe(false);
});

it("a map without keys says nothing", () => {
  const none = positions([]);
  const sides: Sides = { queries, keys: none, unit: "words" };
  for (const reading of [
    new FullReading(sides, new Float32Array()),
    new CellsReading(sides, {
      ...inCells(4, 4),
      rows: 4,
      columns: 0,
      mean: new Float32Array(),
      max: new Float32Array(),
    }),
  ]) {
    expect(reading.row({ from: 0, to: 1 }).values.length).toBe(0);
    expect([...reading.column({ from: 0, to: 0 }).values]).toEqual(Array(SIZES.length).fill(0));
    expect(reading.grid().columns).toBe(0);
  }
});
