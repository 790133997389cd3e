/** Lines: what is in sight, which lines there are between two windows, and which leave them. */

import { describe, expect, it } from "vitest";
import { FullReading } from "../src/content/full_reading";
import type { Range } from "../src/content/positions";
import { inSight, ROW, TOP } from "../src/views/lines/scene";
import { allStrokes, MOST_STROKES, strokesFrom } from "../src/views/lines/strokes";
import { positions, weights } from "./made";

const ROWS = 12;
const COLUMNS = 9;
const values = weights(ROWS, COLUMNS);
const side = (count: number) => positions(Array<number>(count).fill(1));
const reading = new FullReading({ queries: side(ROWS), keys: side(COLUMNS), unit: "tokens" }, values);
const weight = (query: number, key: number) => values[query * COLUMNS + key]!;
const all = (range: Range) => Array.from({ length: range.to - range.from }, (_, place) => range.from + place);

const sight = { queries: { from: 3, to: 8 }, keys: { from: 2, to: 6 } };
const least = 0.1;

describe("lines between two windows", () => {
  it("are those of enough weight, strongest first", () => {
    const expected = all(sight.queries)
      .flatMap((query) => all(sight.keys).map((key) => ({ head: 0, query, key, weight: weight(query, key) })))
      .filter((stroke) => stroke.weight >= least)
      .sort((a, b) => b.weight - a.weight);
    expect(expected.length).toBeGreaterThan(3);
    expect(allStrokes([reading], sight, least).strokes).toEqual(expected);
  });

  it("are told by stubs where they leave", () => {
    const { stubs } = allStrokes([reading], sight, least);
    for (const query of all(sight.queries)) {
      const before = Math.max(...all({ from: 0, to: sight.keys.from }).map((key) => weight(query, key)));
      const found = stubs.find(
        (each) => each.side === "queries" && each.unit === query && each.towards === "before",
      );
      expect(found?.weight).toBe(before >= least ? before : undefined);
    }
    for (const key of all(sight.keys)) {
      const behind = Math.max(...all({ from: sight.queries.to, to: ROWS }).map((query) => weight(query, key)));
      const found = stubs.find((each) => each.side === "keys" && each.unit === key && each.towards === "behind");
      expect(found?.weight).toBe(behind >= least ? behind : undefined);
    }
  });

  it("are those of the chosen words alone, from either side", () => {
    const rows = strokesFrom([reading], "queries", { from: 1, to: 5 }, sight, 0).strokes;
    expect(new Set(rows.map(({ query }) => query))).toEqual(new Set([3, 4]));
    const columns = strokesFrom([reading], "keys", { from: 4, to: 5 }, sight, 0).strokes;
    expect(columns.map(({ query, key, weight: own }) => [query, key, own]).sort()).toEqual(
      all(sight.queries)
        .map((query) => [query, 4, weight(query, 4)])
        .sort(),
    );
  });

  it("tell heads apart", () => {
    const other = new FullReading(
      { queries: side(ROWS), keys: side(COLUMNS), unit: "tokens" },
      weights(ROWS, COLUMNS, 2),
    );
    const { strokes } = allStrokes([reading, other], sight, 0);
    for (const { head, query, key, weight: own } of strokes)
      expect(own).toBe(
        [reading, other][head]!.spot({ from: query, to: query + 1 }, { from: key, to: key + 1 }).max,
      );
    expect(new Set(strokes.map(({ head }) => head)).size).toBe(2);
  });

  it("stay few enough to be drawn, the strongest of them", () => {
    const count = 60;
    const many = weights(count, count, 3);
    const large = new FullReading({ queries: side(count), keys: side(count), unit: "tokens" }, many);
    const whole = { from: 0, to: count };
    const { strokes, stubs } = allStrokes([large], { queries: whole, keys: whole }, 0);
    expect(strokes.length).toBe(MOST_STROKES);
    expect(stubs).toEqual([]);
    const sorted = [...many].sort((a, b) => b - a);
    expect(strokes.at(-1)!.weight).toBe(sorted[MOST_STROKES - 1]);
  });
});

describe("what is in sight", () => {
  it("are the words whose middle shows", () => {
    const height = TOP + 10 * ROW;
    expect(inSight({ count: 100, scrolled: 0 }, height)).toEqual({ from: 0, to: 10 });
    expect(inSight({ count: 100, scrolled: ROW * 3 + ROW / 2 + 1 }, height)).toEqual({ from: 4, to: 14 });
    expect(inSight({ count: 5, scrolled: 0 }, height)).toEqual({ from: 0, to: 5 });
    const { from, to } = inSight({ count: 5, scrolled: 2000 }, height);
    expect(to - from).toBe(0);
  });
});
