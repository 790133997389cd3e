/** The map's arithmetic: what is seen, what larger cells hold, what pixels show, what the legend names. */

import { describe, expect, it } from "vitest";
import { Positions } from "../src/content/positions";
import type { Segment } from "../src/content/schema";
import { shading } from "../src/drawing/colors";
import { boundaries } from "../src/views/map/base";
import { layoutOf } from "../src/views/map/layout";
import { ticks, weightAt } from "../src/views/map/legend";
import { joins, type Level, Pyramid } from "../src/views/map/pyramid";
import { cellsAt, pixelsOf, raster } from "../src/views/map/raster";
import { named, type Side, stepOf } from "../src/views/map/sides";
import { dragged, holding, moved, whole, zoomed } from "../src/views/map/window";

const edges = (...steps: number[]) => Uint32Array.from(steps);
const even = (count: number) => Uint32Array.from({ length: count + 1 }, (_, edge) => edge);

/** Numbers that look random and are the same at every run. */
function numbers(count: number): Float32Array {
  let state = 7;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  });
}

function gridOf(rowEdges: Uint32Array, columnEdges: Uint32Array, values: Float32Array) {
  return {
    rows: rowEdges.length - 1,
    columns: columnEdges.length - 1,
    ...{ rowEdges, columnEdges, mean: values, max: values },
  };
}

describe("what is seen", () => {
  it("keeps the unit under the pointer where it is while it grows", () => {
    const span = zoomed({ from: 10, to: 50 }, 100, 1, 4, 20);
    expect(span.to - span.from).toBeCloseTo(10);
    expect((20 - span.from) / 10).toBeCloseTo((20 - 10) / 40);
  });

  it("shows neither more than all nor less than the least", () => {
    expect(zoomed({ from: 3, to: 9 }, 12, 2, 1e-6, 5)).toEqual({ from: 0, to: 12 });
    const least = zoomed({ from: 3, to: 9 }, 12, 2, 1e6, 5);
    expect(least.to - least.from).toBeCloseTo(2);
    expect(zoomed({ from: 0, to: 1 }, 1, 5, 3, 0.5)).toEqual({ from: 0, to: 1 });
  });

  it("does not leave the map", () => {
    expect(moved({ from: 2, to: 5 }, 10, 100)).toEqual({ from: 7, to: 10 });
    expect(moved({ from: 2, to: 5 }, 10, -100)).toEqual({ from: 0, to: 3 });
  });

  it("moves just so far that a range is seen", () => {
    expect(holding({ from: 10, to: 20 }, 100, { from: 12, to: 15 })).toEqual({ from: 10, to: 20 });
    expect(holding({ from: 10, to: 20 }, 100, { from: 22, to: 25 })).toEqual({ from: 15, to: 25 });
    expect(holding({ from: 10, to: 20 }, 100, { from: 3, to: 5 })).toEqual({ from: 3, to: 13 });
    expect(holding({ from: 10, to: 20 }, 100, { from: 40, to: 80 })).toEqual({ from: 40, to: 50 });
  });

  it("follows pixels: what was at p is at factor p + shift", () => {
    const [before, factor, shift, pixels] = [{ from: 40, to: 60 }, 1.25, -30, 200];
    const after = dragged(before, 1000, 1, pixels, factor, shift);
    const at = (span: { from: number; to: number }, unit: number) =>
      ((unit - span.from) / (span.to - span.from)) * pixels;
    for (const unit of [45, 50, 55.5]) expect(at(after, unit)).toBeCloseTo(factor * at(before, unit) + shift);
    const slid = dragged(before, 1000, 1, pixels, 1, 50);
    expect(at(slid, 50)).toBeCloseTo(at(before, 50) + 50);
  });
});

describe("larger cells", () => {
  it.each([
    [8, 8],
    [7, 5],
    [1, 9],
    [6, 1],
  ])("of %i by %i hold the weight together, averaged over queries, or the largest", (rows, columns) => {
    const rowEdges = edges(...Array.from({ length: rows + 1 }, (_, row) => row * row));
    const values = numbers(rows * columns);
    const grid = gridOf(rowEdges, even(columns), values);
    for (const [down, across] of [
      [1, 0],
      [0, 2],
      [2, 1],
    ] as const) {
      const mean = new Pyramid(grid, "mean").level(down, across);
      const max = new Pyramid(grid, "max").level(down, across);
      expect(mean.rows).toBe(Math.ceil(rows / 2 ** down));
      expect(mean.rowEdges.at(-1)).toBe(rowEdges.at(-1));
      for (let row = 0; row < mean.rows; row++)
        for (let column = 0; column < mean.columns; column++) {
          let [sum, units, largest] = [0, 0, 0];
          for (let r = row * 2 ** down; r < Math.min(rows, (row + 1) * 2 ** down); r++) {
            units += rowEdges[r + 1]! - rowEdges[r]!;
            for (let c = column * 2 ** across; c < Math.min(columns, (column + 1) * 2 ** across); c++) {
              sum += values[r * columns + c]! * (rowEdges[r + 1]! - rowEdges[r]!);
              largest = Math.max(largest, values[r * columns + c]!);
            }
          }
          expect(mean.values[row * mean.columns + column]).toBeCloseTo(sum / units, 5);
          expect(max.values[row * max.columns + column]).toBe(largest);
        }
    }
  });

  it("keep the sign of the larger difference", () => {
    const values = Float32Array.of(0.2, -0.5, 0.1, 0.3);
    expect(new Pyramid(gridOf(even(2), even(2), values), "max").level(1, 1).values[0]).toBe(-0.5);
  });

  it("are joined just until each takes a pixel", () => {
    expect([joins(512, 512), joins(513, 512), joins(2000, 700), joins(3, 700), joins(1, 0)]).toEqual([
      0, 1, 2, 0, 0,
    ]);
  });
});

describe("pixels", () => {
  it("show every cell that takes a pixel, also where cells differ in size", () => {
    const rough = edges(0, 3, 3, 4, 9, 10);
    const cells = cellsAt(rough, { from: 0, to: 10 }, 20);
    expect([...new Set(cells)]).toEqual([0, 2, 3, 4]);
    expect(cells.filter((cell) => cell === 3).length).toBe(10);
  });

  it("keep a single strong weight of a large map", () => {
    const side = 1000;
    const values = new Float32Array(side * side);
    values[617 * side + 333] = 1;
    const pixels = 150;
    const halvings = joins(side, pixels);
    const level = new Pyramid(gridOf(even(side), even(side), values), "max").level(halvings, halvings);
    const colors = Uint32Array.from(level.values, (value) => (value === 1 ? 1 : 0));
    const image = raster(level, colors, whole(side, side), pixels, pixels, new Map());
    const shown = [...image.keys()].filter((place) => image[place] === 1);
    expect(shown.length).toBeGreaterThan(0);
    for (const place of shown) {
      expect(Math.abs(Math.floor(place / pixels) - (617 * pixels) / side)).toBeLessThan(2);
      expect(Math.abs((place % pixels) - (333 * pixels) / side)).toBeLessThan(2);
    }
  });

  it("draw a query that is known exactly by itself", () => {
    const level: Level = { ...gridOf(edges(0, 4), edges(0, 4), numbers(1)), values: numbers(1), largest: 1 };
    const line = Uint32Array.of(5, 6, 7, 8);
    const image = raster(level, Uint32Array.of(9), whole(4, 4), 4, 4, new Map([[2, line]]));
    expect([...image]).toEqual([9, 9, 9, 9, 9, 9, 9, 9, 5, 6, 7, 8, 9, 9, 9, 9]);
  });

  it("hold several units together, or the largest of them", () => {
    const line = Float32Array.of(0.1, 0.2, -0.7, 0.3);
    const all = { from: 0, to: 4 };
    expect(Array.from(pixelsOf(line, all, 2, "mean"), (value) => Number(value.toFixed(4)))).toEqual([0.3, -0.4]);
    expect(Array.from(pixelsOf(line, all, 2, "max"), (value) => Number(value.toFixed(4)))).toEqual([0.2, -0.7]);
    expect(pixelsOf(line, { from: 1, to: 3 }, 4, "mean")).toEqual(
      Float32Array.of(0.2, 0.2, -0.7, -0.7).map(Math.fround),
    );
  });
});

describe("the legend", () => {
  const measure = (text: string) => 6 * text.length;

  it.each(["linear", "root", "log"] as const)("places weights on the %s scale as the map does", (scale) => {
    const shades = shading("cividis", scale, 0.62, false);
    const found = ticks(shades, 240, measure);
    expect(found[0]!.text).toBe("0 %");
    expect(found.at(-1)!.text).toBe("62 %");
    expect(found.length).toBeGreaterThan(3);
    for (const { weight, place } of found.slice(1)) expect(weightAt(shades, place)).toBeCloseTo(weight, 6);
    for (const [place, tick] of found.slice(1).entries())
      expect((tick.place - found[place]!.place) * 240).toBeGreaterThan(
        (measure(tick.text) + measure(found[place]!.text)) / 2,
      );
  });

  it("has 0 in the middle of differences", () => {
    const found = ticks(shading("cividis", "root", 0.4, true), 300, measure);
    expect(found.find(({ weight }) => weight === 0)!.place).toBe(0.5);
    expect(found[0]!.text).toBe("−40 %");
    expect(found.at(-1)!.text).toBe("+40 %");
  });
});

describe("names", () => {
  it("do not touch, and are as many as fit", () => {
    expect([14, 13.9, 7, 1, 0.02].map(stepOf)).toEqual([1, 2, 2, 20, 1000]);
  });

  it("stand at the same units wherever the map is moved", () => {
    const positions = new Positions([], [], new Uint32Array(), new Set(), [], []);
    const side = (from: number): Side => ({
      ...{ name: "queries", positions, span: { from, to: from + 100 }, count: 1000, start: 0, pixels: 300 },
    });
    expect(named(side(0))).toEqual(Array.from({ length: 20 }, (_, place) => 5 * place));
    expect(named(side(13.2)).every((unit) => unit % 5 === 0 && unit >= 13 && unit < 113.2)).toBe(true);
  });
});

describe("the layout", () => {
  const labels = { rows: 60, columns: 60 };

  it("draws cells of short texts nearly square", () => {
    for (const count of [1, 2, 14, 30, 60]) {
      const { plotWidth, plotHeight } = layoutOf(800, 690, count, count, labels);
      expect(plotWidth / plotHeight).toBeLessThan(2);
      expect(plotHeight / plotWidth).toBeLessThan(1.3);
    }
  });

  it.each([
    [1, 1],
    [5, 2000],
    [2000, 5],
    [32000, 32000],
    [14, 14],
  ])("holds %i by %i within what there is", (rows, columns) => {
    for (const width of [330, 740, 1250]) {
      const { left, top, plotWidth, plotHeight, height } = layoutOf(width, 600, rows, columns, labels);
      expect(left + plotWidth).toBeLessThanOrEqual(width);
      expect(height).toBeLessThanOrEqual(600);
      expect(Math.min(plotWidth, plotHeight, top)).toBeGreaterThan(0);
    }
  });
});

describe("boundaries", () => {
  const words = (separators: number[], segments: Segment[]) =>
    new Positions(
      ["a", "bc", "d", "e"],
      ["a", "b", "c", "d", "e"],
      Uint32Array.of(0, 1, 1, 2, 3),
      new Set(),
      separators,
      segments,
    );

  it("stand after what separates texts, and not at the ends of the map", () => {
    const positions = words([2, 4], []);
    expect(boundaries("tokens", { positions, count: 5 })).toEqual([3]);
    expect(boundaries("words", { positions, count: 4 })).toEqual([2]);
  });

  it("stand before and after pictures and sounds", () => {
    const picture: Segment = {
      kind: "image",
      start: 1,
      stop: 3,
      rows: 1,
      columns: 2,
      picture: null,
      type: "image/png",
    };
    expect(boundaries("tokens", { positions: words([], [picture]), count: 5 })).toEqual([1, 3]);
  });
});
