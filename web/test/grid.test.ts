/** The grid of heads: where heads stand, where arrow keys lead, and in which order statistics put them. */

import { describe, expect, it } from "vitest";
import type { Group } from "../src/content/schema";
import { layoutOf, neighbour } from "../src/views/grid/layout";
import {
  kindsOf,
  largestStatistic,
  placesOf,
  samePlace,
  sortedPlaces,
  statisticOf,
} from "../src/views/grid/statistics";
import { report } from "./made";

/** Layers of so many heads, with these numbers. */
function group(layers: readonly (readonly (number | null)[])[]): Group {
  const made = report([[1, 1]]).group({ run: 0, group: 0 });
  const [layer] = made.layers;
  const [head] = layer!.heads;
  return {
    ...made,
    facts: ["entropy"],
    layers: layers.map((numbers, place) => ({
      ...layer!,
      heads: numbers.map((number) => ({ ...head!, kind: place === 0 ? "first" : "local", facts: [number] })),
    })),
  };
}

const UNEVEN = group([
  [0.2, null, 0.9],
  [0.5, 0.2],
]);

describe("the layout", () => {
  for (const room of [0, 200, 320, 500, 2000])
    for (const flowing of [false, true])
      it(`keeps heads apart and inside in ${room} pixels, ${flowing ? "flowing" : "by layer"}`, () => {
        const layout = layoutOf(placesOf(UNEVEN), flowing, room);
        expect(layout.side).toBeGreaterThanOrEqual(28);
        expect(layout.side).toBeLessThanOrEqual(64);
        for (const a of layout.cells) {
          expect(a.x).toBeGreaterThanOrEqual(layout.gutter);
          expect(a.x + layout.width).toBeLessThanOrEqual(layout.fullWidth);
          expect(a.y + layout.height).toBeLessThanOrEqual(layout.fullHeight);
          for (const b of layout.cells)
            if (!samePlace(a, b))
              expect(Math.abs(a.x - b.x) >= layout.width || Math.abs(a.y - b.y) >= layout.height).toBe(true);
        }
      });

  it("leads from head to head with arrow keys, and nowhere beyond the edges", () => {
    const layout = layoutOf(placesOf(UNEVEN), false, 500);
    const from = (layer: number, head: number, key: string) => {
      const found = neighbour(layout, { layer, head }, key);
      return found && [found.layer, found.head];
    };
    expect(from(0, 0, "ArrowRight")).toEqual([0, 1]);
    expect(from(0, 2, "ArrowRight")).toEqual([1, 0]);
    expect(from(0, 2, "ArrowDown")).toEqual([1, 1]);
    expect(from(1, 1, "ArrowUp")).toEqual([0, 1]);
    expect(from(1, 1, "ArrowDown")).toBeNull();
    expect(from(0, 0, "ArrowLeft")).toBeNull();
    expect(from(1, 0, "Home")).toEqual([0, 0]);
    expect(from(0, 0, "End")).toEqual([1, 1]);
    expect(from(0, 0, "a")).toBeNull();
  });

  it("stands empty where there are no heads", () => {
    expect(layoutOf([], false, 300).cells).toEqual([]);
    expect(neighbour(layoutOf([], true, 300), { layer: 0, head: 0 }, "ArrowRight")).toBeNull();
  });
});

describe("statistics", () => {
  it("put the largest first, equal ones in the order of layers, those that were not measured last", () => {
    const order = sortedPlaces(UNEVEN, "entropy").map(({ layer, head }) => `${layer}.${head}`);
    expect(order).toEqual(["0.2", "1.0", "0.0", "1.1", "0.1"]);
  });

  it("are null where there is none of the name", () => {
    expect(statisticOf(UNEVEN, "worth", { layer: 0, head: 0 })).toBeNull();
    expect(largestStatistic([UNEVEN], "worth")).toBe(0);
    expect(largestStatistic([UNEVEN], "entropy")).toBe(0.9);
  });

  it("count the kinds of each group, the most frequent first", () => {
    expect(kindsOf([UNEVEN, UNEVEN])).toEqual([
      ["first", [3, 3]],
      ["local", [2, 2]],
    ]);
  });
});
