/** Texts fall into blocks that leave nothing out, and read on where words go on. */

import { describe, expect, it } from "vitest";
import { Positions } from "../../src/content/positions";
import type { Segment } from "../../src/content/schema";
import { around, blockAt, blocksOf, goesOn, hasText, named, read, unitsOf } from "../../src/views/text/blocks";

const plain = (words: string[], segments: Segment[] = []) =>
  new Positions(
    words,
    words,
    Uint32Array.from(words, (_, place) => place),
    new Set(),
    [],
    segments,
  );
const many = (count: number) => Array.from({ length: count }, (_, place) => `w${place}`);
const image: Segment = { kind: "image", start: 3, stop: 7, rows: 2, columns: 2, picture: null, type: "image/png" };

describe("blocks", () => {
  it("cover every word once, in order", () => {
    for (const count of [0, 1, 39, 40, 80, 81, 1000]) {
      const blocks = blocksOf(plain(many(count)));
      const covered = blocks.flatMap(({ words: { from, to } }) =>
        Array.from({ length: to - from }, (_, place) => from + place),
      );
      expect(covered).toEqual(Array.from({ length: count }, (_, place) => place));
    }
  });

  it("end where a sentence ends, after its last marks", () => {
    const words = many(100);
    words[50] = "end.";
    words[51] = "”";
    expect(blocksOf(plain(words))[0]!.words).toEqual({ from: 0, to: 52 });
    words[51] = "Then";
    expect(blocksOf(plain(words))[0]!.words).toEqual({ from: 0, to: 51 });
  });

  it("hold a stretch that is no text as one", () => {
    const blocks = blocksOf(plain(many(10), [image]));
    expect(blocks.map(({ words, segment }) => [words.from, words.to, segment?.kind])).toEqual([
      [0, 3, undefined],
      [3, 7, "image"],
      [7, 10, undefined],
    ]);
    expect(named(image)).toBe("image, 2 × 2 patches");
  });

  it("are found by their words", () => {
    const blocks = blocksOf(plain(many(500), [image]));
    for (let word = 0; word < 500; word++) {
      const { from, to } = blocks[blockAt(blocks, word)]!.words;
      expect(from <= word && word < to).toBe(true);
    }
  });

  it("stand in a picture around the word that counts, as far as there is room", () => {
    const blocks = blocksOf(plain(many(10_000)));
    const drawn = around(blocks, 5000);
    const [from, to] = [drawn[0]!.words.from, drawn.at(-1)!.words.to];
    expect(to - from).toBeLessThanOrEqual(2000);
    expect(to - from).toBeGreaterThan(1900);
    expect(from).toBeLessThan(4200);
    expect(to).toBeGreaterThan(5800);
    expect(around(blocksOf(plain([])), 0)).toEqual([]);
  });
});

describe("tokens", () => {
  const pieces = ["[CLS]", "Ġlook", "##ing", "Ġ", "##"];
  const positions = new Positions(
    ["[CLS]", "looking", "Ġ", "##"],
    pieces,
    Uint32Array.from([0, 1, 1, 2, 3]),
    new Set([0]),
    [],
    [],
  );

  it("of a word stand without a gap and without marks", () => {
    expect(pieces.map((_, place) => goesOn(positions, "tokens", place))).toEqual([
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(pieces.map((_, place) => read(positions, "tokens", place))).toEqual(["[CLS]", "look", "ing", "Ġ", "##"]);
    expect(read(positions, "words", 1)).toBe("looking");
  });

  it("of a block are those of its words", () => {
    expect(unitsOf(blocksOf(positions)[0]!, positions, "tokens")).toEqual({ from: 0, to: 5 });
  });

  it("that were all added by a tokenizer are nothing to read", () => {
    expect(hasText(positions)).toBe(true);
    expect(hasText(new Positions(["[CLS]"], ["[CLS]"], Uint32Array.from([0]), new Set([0]), [], []))).toBe(false);
    expect(hasText(plain([]))).toBe(false);
  });
});
