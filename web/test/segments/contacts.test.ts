/** Scores of pairs of residues. */

import { describe, expect, it } from "vitest";
import { corrected, precisions, strongest, strongestOfLinks, symmetric } from "../../src/views/contacts/scores";
import { numbers, weights } from "../made";

const SIDE = 9;
const edges = (cells: number, wide: number, count: number) =>
  Uint32Array.from({ length: cells + 1 }, (_, cell) => Math.min(count, cell * wide));
const every = () => true;
const itself = (score: number) => score;

describe("scores", () => {
  const mean = weights(SIDE + 2, SIDE + 2);
  const grid = {
    ...{ rows: SIDE + 2, columns: SIDE + 2, mean, max: mean },
    ...{ rowEdges: edges(SIDE + 2, 1, SIDE + 2), columnEdges: edges(SIDE + 2, 1, SIDE + 2) },
  };
  const units = Uint32Array.from({ length: SIDE }, (_, place) => place + 1);
  const plain = symmetric(grid, units);

  it("are the mean of both directions, without tokens around the chain", () => {
    for (let a = 0; a < SIDE; a++)
      for (let b = 0; b < SIDE; b++) {
        const [there, back] = [mean[(a + 1) * (SIDE + 2) + b + 1]!, mean[(b + 1) * (SIDE + 2) + a + 1]!];
        expect(plain.values[a * SIDE + b]).toBeCloseTo((there + back) / 2, 6);
      }
  });

  it("of cells are each pair's even share", () => {
    const cells = { rows: 3, columns: 3, mean: weights(3, 3), max: weights(3, 3) };
    const wide = { ...cells, rowEdges: edges(3, 4, 10), columnEdges: edges(3, 4, 10) };
    const { values } = symmetric(
      wide,
      Uint32Array.from({ length: 10 }, (_, place) => place),
    );
    expect(values[0 * 10 + 9]).toBeCloseTo((cells.mean[2]! / 2 + cells.mean[6]! / 4) / 2, 6);
  });

  it("are corrected as the paper has it: what rows explain together is taken away", () => {
    // A product of one number a residue is background alone; but for the diagonal, nothing is left of a constant.
    const constant = { side: SIDE, values: new Float32Array(SIDE * SIDE).fill(0.25) };
    for (const value of corrected(constant).values) expect(value).toBeCloseTo(0, 6);
    const others = (a: number) => [...plain.values.subarray(a * SIDE, (a + 1) * SIDE)].filter((_, b) => b !== a);
    const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const whole = average(Array.from({ length: SIDE }, (_, a) => others(a)).flat());
    const { values } = corrected(plain);
    for (const [a, b] of [
      [0, 5],
      [5, 0],
      [3, 8],
      [2, 3],
    ] as const) {
      const expected = plain.values[a * SIDE + b]! - (average(others(a)) * average(others(b))) / whole;
      expect(values[a * SIDE + b]).toBeCloseTo(expected, 6);
    }
  });

  it("of nothing stay nothing", () => {
    const none = { side: SIDE, values: new Float32Array(SIDE * SIDE) };
    expect([...corrected(none).values]).toEqual([...none.values]);
    expect(strongest(none, every, 5, itself)).toEqual([]);
  });

  it("are ranked as a sort of all allowed pairs ranks them", () => {
    const isAllowed = (a: number, b: number) => b - a >= 3;
    const all: number[] = [];
    for (let a = 0; a < SIDE; a++) for (let b = a + 3; b < SIDE; b++) all.push(plain.values[a * SIDE + b]!);
    all.sort((one, other) => other - one);
    const found = strongest(plain, isAllowed, 7, itself);
    expect(found.map(({ score }) => score)).toEqual(all.slice(0, 7));
    expect(found.every(({ a, b }) => isAllowed(a, b))).toBe(true);
    expect(strongest(plain, isAllowed, 1000, itself)).toHaveLength(all.length);
  });

  it("below nothing are no strong pairs, differences are", () => {
    const next = numbers(4);
    const signed = { side: 4, values: Float32Array.from({ length: 16 }, () => next() - 0.7) };
    expect(strongest(signed, every, 6, itself).every(({ score }) => score > 0)).toBe(true);
    expect(strongest(signed, every, 6, Math.abs)).toHaveLength(6);
  });
});

it("single weights of both directions join to pairs", () => {
  const residues = new Map([1, 2, 3, 4].map((unit) => [unit, unit - 1]));
  const links = [
    { query: 1, key: 4, weight: 0.5 },
    { query: 2, key: 3, weight: 0.4 },
    { query: 3, key: 2, weight: 0.4 },
    { query: 0, key: 4, weight: 0.9 },
    { query: 2, key: 2, weight: 0.9 },
  ];
  expect(strongestOfLinks(links, residues, every, 9)).toEqual([
    { a: 1, b: 2, score: 0.4 },
    { a: 0, b: 3, score: 0.25 },
  ]);
});

it("precision counts what touches among the first L, L/2 and L/5", () => {
  const pairs = Array.from({ length: 30 }, (_, place) => ({ a: place, b: place + 9, score: 1 / (place + 1) }));
  const found = precisions(pairs, 20, (a) => a < 6);
  expect(found.map(({ pairs: count, share }) => [count, share])).toEqual([
    [20, 0.3],
    [10, 0.6],
    [4, 1],
  ]);
  expect(precisions([], 20, every)).toEqual([]);
});
