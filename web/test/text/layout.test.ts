/** Words in lines, weights in strips, words that are sought. */

import { describe, expect, it } from "vitest";
import { Positions } from "../../src/content/positions";
import { shading } from "../../src/drawing/colors";
import { matches } from "../../src/views/text/finding";
import { isRightToLeft, laid } from "../../src/views/text/layout";
import { type Shade, together } from "../../src/views/text/shade";
import { strongest } from "../../src/views/text/strip";

const item = (text: string, goesOn = false) => ({ text, wide: 10 * text.length, goesOn });
const items = (...texts: string[]) => texts.map((text) => item(text));

describe("lines", () => {
  it("hold as many words as fit, and none wider than a line", () => {
    const { places, lines } = laid(items("aaa", "bb", "c", "d".repeat(50)), 65, 5);
    expect(places).toEqual([
      { x: 0, line: 0, width: 30 },
      { x: 35, line: 0, width: 20 },
      { x: 0, line: 1, width: 10 },
      { x: 0, line: 2, width: 65 },
    ]);
    expect(lines).toBe(3);
    expect(laid([], 65, 5)).toEqual({ places: [], lines: 0 });
  });

  it("put what goes on right behind", () => {
    const { places } = laid([item("look"), item("ing", true)], 100, 5);
    expect(places[1]!.x).toBe(40);
  });

  it("run from the right where the first letter does", () => {
    expect(isRightToLeft(["12.", "שלום", "a"])).toBe(true);
    expect(isRightToLeft(["12.", "a", "שלום"])).toBe(false);
    const { places } = laid(items("שלום", "a"), 100, 5);
    expect(places.map(({ x }) => x)).toEqual([60, 45]);
  });
});

describe("the strip", () => {
  it("shows the largest weight of each part, by size", () => {
    expect([...strongest(Float32Array.from([0.25, 0.5, -0.75, 0.5, 0, 0.125]), 3)]).toEqual([0.5, -0.75, 0.125]);
    expect([...strongest(Float32Array.from([]), 0)]).toEqual([]);
  });
});

describe("weights of several units", () => {
  const shade = (side: Shade["side"]): Shade => ({
    ...{ side, chosen: null, line: { values: Float32Array.from([0.5, 0.25, 0.25]), exact: true } },
    shades: shading("cividis", "root", 1, false),
  });
  it("add up over keys and are averaged over queries", () => {
    expect(together(shade("keys"), { from: 0, to: 2 })).toBeCloseTo(0.75);
    expect(together(shade("queries"), { from: 0, to: 2 })).toBeCloseTo(0.375);
  });
});

describe("finding", () => {
  const words = ["The", "Cat", "sat", "there", "with", "a", "cat"];
  const starts = [0, 0, 1, 2, 3, 4, 5, 6];
  const positions = new Positions(words, [], Uint32Array.from(starts), new Set(), [], []);
  it("takes no notice of capitals, and finds words that follow one another", () => {
    expect(matches(positions, "cat")).toEqual([
      { from: 2, to: 3 },
      { from: 7, to: 8 },
    ]);
    expect(matches(positions, " the  cat ")).toEqual([{ from: 0, to: 3 }]);
    expect(matches(positions, "(")).toEqual([]);
    expect(matches(positions, "  ")).toEqual([]);
  });
});
