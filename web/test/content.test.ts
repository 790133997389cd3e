/** Codes, positions and numbers, against what they are defined as. */

import { describe, expect, it } from "vitest";
import { weightsOf, weightsOfBytes } from "../src/content/codes";
import { percent, plain } from "../src/content/numbers";
import { Positions, visible } from "../src/content/positions";
import { numbers, positions } from "./made";

describe("codes", () => {
  it.each([0, 25, 256])("give back weights, fine from %i on", (fine) => {
    const next = numbers(fine + 1);
    const exact = Array.from({ length: 5000 }, (_, place) => (place < 3 ? [0, 1, 1e-9][place]! : next() ** 8));
    const codes = exact.map((weight) => Math.round(65535 * Math.sqrt(weight)));
    const high = Uint8Array.from(codes, (code) => code >> 8);
    const low = Uint8Array.from(
      codes.filter((code) => code >> 8 >= fine),
      (code) => code & 255,
    );
    const read = weightsOf(high, low, fine);
    exact.forEach((weight, place) => {
      const isFine = high[place]! >= fine;
      const half = isFine ? 0.51 : high[place] === 0 ? 256 : 129;
      const [least, most] = [codes[place]! - half, codes[place]! + half].map(
        (code) => (Math.max(0, code) / 65535) ** 2,
      );
      expect(read[place]).toBeGreaterThanOrEqual(least! - 1e-9);
      expect(read[place]).toBeLessThanOrEqual(most! + 1e-9);
      expect(Math.abs(read[place]! - weight)).toBeLessThan(isFine ? 2e-5 : 0.0041 * Math.sqrt(weight) + 2e-5);
    });
  });

  it("give single bytes back as squares", () => {
    expect([...weightsOfBytes(Uint8Array.of(0, 51, 255))]).toEqual([0, Math.fround(0.04), 1]);
  });
});

describe("positions", () => {
  const uneven = positions([1, 3, 0, 2, 0], [0], [5]);

  it("tell the tokens of words, also of words without any", () => {
    expect([0, 1, 2, 3, 4].map((word) => uneven.tokensOf("words", word))).toEqual([
      { from: 0, to: 1 },
      { from: 1, to: 4 },
      { from: 4, to: 4 },
      { from: 4, to: 6 },
      { from: 6, to: 6 },
    ]);
    expect(uneven.unitsOf("words", { from: 2, to: 5 })).toEqual({ from: 1, to: 4 });
    expect(uneven.unitsOf("words", { from: 2, to: 2 })).toEqual({ from: 0, to: 0 });
    expect(uneven.unitsOf("tokens", { from: 2, to: 5 })).toEqual({ from: 2, to: 5 });
  });

  it("know sinks in both units", () => {
    expect([...uneven.sinks("words")]).toEqual([1, 0, 0, 1, 0]);
    expect([...uneven.sinks("tokens")]).toEqual([1, 0, 0, 0, 0, 1]);
  });

  it("know no sink in an image but what a tokenizer added", () => {
    const segments = [
      { kind: "image" as const, start: 0, stop: 2, rows: 1, columns: 2, picture: null, type: "image/png" as const },
    ];
    const patches = new Positions(["a", "b"], ["a", "b"], Uint32Array.of(0, 1), new Set(), [], segments);
    expect([...patches.sinks("words")]).toEqual([0, 0]);
  });

  it("name long ranges by their first words", () => {
    const many = positions(Array(9).fill(1));
    expect(many.name("words", { from: 1, to: 3 })).toBe("word1 word2");
    expect(many.name("words", { from: 0, to: 9 })).toBe("word0 word1 word2 word3 word4 word5 …");
  });
});

describe("labels", () => {
  it.each([
    ["word", "word"],
    [" ", "␣"],
    ["", "∅"],
    ["\u200b", "U+200B"],
    ["\n\t", "U+000A U+0009"],
    ["\u202e", "U+202E"],
    ["👩‍🚀", "👩‍🚀"],
  ])("show %j as %j", (label, shown) => expect(visible(label)).toBe(shown));
});

describe("numbers", () => {
  it.each([
    [0.1234, false, "12.3 %"],
    [0, false, "0 %"],
    [0.0001, false, "<0.1 %"],
    [0.5, true, "+50.0 %"],
    [-0.5, true, "−50.0 %"],
    [Number.NaN, false, "not known"],
    [Number.POSITIVE_INFINITY, true, "not known"],
  ])("write %f as a share", (weight, signed, text) => expect(percent(weight, signed)).toBe(text));

  it("write statistics", () => {
    expect([null, Number.NaN, 0.12345, 3].map(plain)).toEqual(["not measured", "not measured", "0.123", "3"]);
  });
});
