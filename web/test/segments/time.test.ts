/** When attention lies in a sound. */

import { describe, expect, it } from "vitest";
import { Positions } from "../../src/content/positions";
import type { SoundSegment } from "../../src/content/schema";
import { layoutOf, tokensAt, xOf } from "../../src/views/time/layout";
import { envelope, momentsOf, timeAt, timesOf } from "../../src/views/time/moments";
import { numbers, weights } from "../made";

const segment: SoundSegment = {
  ...{ kind: "sound", start: 2, stop: 42, seconds: 8, spectrogram: null, bins: 0, frames: 0, hertz: null },
};

const edges = (count: number) => Uint32Array.from({ length: count + 1 }, (_, place) => place);

describe("moments", () => {
  const [rows, columns] = [7, 45];
  const mean = weights(rows, columns);
  const names = Array.from({ length: columns }, (_, place) => `${place}`);
  const wordOf = Uint32Array.from(names, (_, place) => place);
  const positions = new Positions(names, names, wordOf, new Set(), [], [segment]);
  const times = timesOf(edges(columns), positions, "words", segment);

  it("have the mean and spread of the weights within the sound", () => {
    const grid = { rows, columns, rowEdges: edges(rows), columnEdges: edges(columns), mean, max: mean };
    for (const [row, moment] of momentsOf(grid, "keys", times).entries()) {
      const inside = Array.from({ length: 40 }, (_, frame) => ({
        weight: mean[row * columns + 2 + frame]!,
        time: (frame + 0.5) / 5,
      }));
      const total = inside.reduce((sum, { weight }) => sum + weight, 0);
      const middle = inside.reduce((sum, { weight, time }) => sum + (weight * time) / total, 0);
      const variance = inside.reduce((sum, { weight, time }) => sum + (weight * (time - middle) ** 2) / total, 0);
      expect(moment.mean).toBeCloseTo(middle, 5);
      expect(moment.spread).toBeCloseTo(Math.sqrt(variance), 4);
    }
  });

  it("are the same whichever side the sound is on", () => {
    const turned = Float32Array.from(
      mean,
      (_, place) => mean[(place % rows) * columns + Math.floor(place / rows)]!,
    );
    const one = { rows, columns, rowEdges: edges(rows), columnEdges: edges(columns), mean, max: mean };
    const other = {
      ...{ rows: columns, columns: rows, rowEdges: edges(columns), columnEdges: edges(rows) },
      ...{ mean: turned, max: turned },
    };
    expect(momentsOf(other, "queries", times)).toEqual(momentsOf(one, "keys", times));
  });

  it("count queries and not cells, of which the last may hold fewer", () => {
    const grid = (mean: number[], rowEdges: number[]) => ({
      ...{ rows: mean.length, columns: 1, rowEdges: Uint32Array.from(rowEdges), columnEdges: edges(1) },
      ...{ mean: Float32Array.from(mean), max: Float32Array.from(mean) },
    });
    const cells = momentsOf(grid([0.1, 0.4], [0, 4, 5]), "queries", [2, 4.5]);
    const apart = momentsOf(grid([0.1, 0.1, 0.1, 0.1, 0.4], [0, 1, 2, 3, 4, 5]), "queries", [2, 2, 2, 2, 4.5]);
    expect(cells[0]!.mean).toBeCloseTo(apart[0]!.mean, 6);
    expect(cells[0]!.spread).toBeCloseTo(apart[0]!.spread, 6);
  });

  it("have no place where there is no weight", () => {
    const none = new Float32Array(columns);
    none[0] = 1;
    const grid = { rows: 1, columns, rowEdges: edges(1), columnEdges: edges(columns), mean: none, max: none };
    expect(momentsOf(grid, "keys", times)[0]!.mean).toBeNaN();
  });
});

it("an envelope keeps the largest size of each place, in order", () => {
  const next = numbers(5);
  const values = Float32Array.from({ length: 1000 }, () => next() - 0.5);
  const kept = envelope(values, 64);
  for (const [place, value] of kept.entries()) {
    const part = values.filter((_, index) => Math.floor((index * 64) / 1000) === place);
    expect(Math.abs(value)).toBe(Math.max(...part.map(Math.abs)));
    expect(part).toContain(value);
  }
  expect(envelope(values, 1000)).toBe(values);
});

describe("pointing at a time", () => {
  it.each([360, 1200])("reaches every frame that a figure of %d pixels has room for", (width) => {
    const layout = layoutOf(width, segment, 0);
    for (let token = segment.start; token < segment.stop; token++)
      expect(tokensAt(layout, segment, xOf(layout, segment, timeAt(segment, token + 0.5)))!.from).toBe(token);
  });

  it("is nothing beside the figure", () => {
    const layout = layoutOf(600, segment, 3);
    expect(tokensAt(layout, segment, layout.left - 1)).toBeNull();
    expect(tokensAt(layout, segment, layout.right + 1)).toBeNull();
  });

  it("covers all frames of a long sound, pixel by pixel", () => {
    const long = { ...segment, start: 0, stop: 32_000 };
    const layout = layoutOf(640, long, 0);
    let next = 0;
    for (let x = layout.left; x < layout.right; x++) {
      const tokens = tokensAt(layout, long, x)!;
      expect(Math.abs(tokens.from - next)).toBeLessThanOrEqual(1);
      next = tokens.to;
    }
    expect(next).toBe(32_000);
  });
});
