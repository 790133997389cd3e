/** Patches of a picture, and what lies over them. */

import { describe, expect, it } from "vitest";
import { Positions } from "../../src/content/positions";
import type { ImageSegment } from "../../src/content/schema";
import { shading } from "../../src/drawing/colors";
import { overlayPixels } from "../../src/views/image/overlay";
import { frameOf, patchAt, steppedPatch } from "../../src/views/image/patches";
import { totals } from "../../src/views/image/totals";
import { numbers } from "../made";

const segment = (start: number, rows: number, columns: number): ImageSegment => ({
  ...{ kind: "image", start, stop: start + rows * columns, rows, columns },
  ...{ picture: null, type: "image/png" },
});
const picture = segment(5, 3, 4);
const size = { width: 100, height: 57 };

describe("patches", () => {
  it("are found within their own frames", () => {
    for (let token = picture.start; token < picture.stop; token++) {
      const [x, y, width, height] = frameOf(picture, size, token);
      for (const [right, down] of [
        [0.01, 0.01],
        [0.5, 0.5],
        [0.99, 0.99],
      ] as const)
        expect(patchAt(picture, size, x + right * width, y + down * height)).toBe(token);
    }
  });

  it.each([
    [-1, 5],
    [101, 5],
    [5, -1],
    [5, 58],
  ])("are not beside the picture: %d, %d", (x, y) => expect(patchAt(picture, size, x, y)).toBeNull());

  it("are all reached by arrows, and none is left", () => {
    const start = steppedPatch(picture, null, [1, 0]);
    const seen = new Set([start]);
    for (const token of seen)
      for (const arrow of [
        [1, 0],
        [-1, 0],
        [0, 1],
        [0, -1],
      ] as const)
        seen.add(steppedPatch(picture, token, arrow));
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, place) => 5 + place));
  });
});

describe("an overlay", () => {
  const weights = Float32Array.from([0, 0.01, 0.2, 1]);
  const shades = shading("viridis", "linear", 1, false);
  const alphas = (look: "colours" | "light", opacity: number) =>
    Array.from(weights, (_, place) => overlayPixels(weights, shades, { look, opacity })[4 * place + 3]!);

  it.each(["colours", "light"] as const)("of %s without opacity is not there", (look) =>
    expect(alphas(look, 0)).toEqual([0, 0, 0, 0]),
  );

  it("of colours with full opacity is the colours alone", () => {
    expect(alphas("colours", 1)).toEqual([255, 255, 255, 255]);
    const pixels = overlayPixels(weights, shades, { look: "colours", opacity: 1 });
    for (const [place, weight] of weights.entries())
      expect([...pixels.subarray(4 * place, 4 * place + 3)]).toEqual([...shades.color(weight)]);
  });

  it("covers more where there is more weight; darkness, where there is less", () => {
    const [colours, light] = [alphas("colours", 0.6), alphas("light", 0.6)];
    expect(colours).toEqual([...colours].sort((a, b) => a - b));
    expect(light).toEqual([...light].sort((a, b) => b - a));
    expect(light.at(-1)).toBe(0);
  });

  it("of differences covers both signs alike", () => {
    const both = shading("viridis", "root", 0.5, true);
    const pixels = overlayPixels(Float32Array.from([-0.3, 0.3]), both, { look: "colours", opacity: 0.6 });
    expect(pixels[3]).toBe(pixels[7]);
    expect([...pixels.subarray(0, 3)]).not.toEqual([...pixels.subarray(4, 7)]);
  });
});

it("totals divide all weight between pictures and words", () => {
  const [first, second] = [segment(1, 2, 2), segment(6, 1, 3)];
  const words = Array.from({ length: 10 }, (_, place) => `unit ${place}`);
  const wordOf = Uint32Array.from(words, (_, place) => place);
  const placed = {
    side: "both" as const,
    positions: new Positions(words, words, wordOf, new Set(), [], [first, second]),
  };
  const next = numbers(3);
  const values = Float32Array.from(words, next);
  const whole = values.reduce((sum, value) => sum + value, 0);
  const shown = { side: "keys" as const, values: values.map((value) => value / whole), exact: true, of: null };
  const says = totals(placed, "words", shown, false);
  const found = [...says.matchAll(/([\d.]+) %/g)].map(([, number]) => Number(number));
  const part = (tokens: number[]) => (100 * tokens.reduce((sum, token) => sum + values[token]!, 0)) / whole;
  for (const [place, tokens] of [
    [1, 2, 3, 4],
    [6, 7, 8],
    [0, 5, 9],
  ].entries())
    expect(Math.abs(found[place]! - part(tokens))).toBeLessThan(0.051);
  expect(says).toMatch(/^All queries on average: on picture 1 .*on picture 2 .*words/);
});
