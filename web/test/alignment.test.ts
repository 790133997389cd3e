/** Two texts: where they begin and end, their sentences, which words belong together, and where words stand. */

import { describe, expect, it } from "vitest";
import { FullReading } from "../src/content/full_reading";
import { Positions } from "../src/content/positions";
import { boxAt, laid, stepped } from "../src/views/alignment/layout";
import { aligned, pharaoh } from "../src/views/alignment/pairs";
import { hasPair, pairOf, part, sentencesOf, stretches, type Text } from "../src/views/alignment/texts";

function words(text: string): Positions {
  const labels = text.split(" ");
  const special = labels.flatMap((label, place) => (/^(\[.+\]|<.+>)$/.test(label) ? [place] : []));
  const every = Uint32Array.from(labels, (_, place) => place);
  return new Positions(labels, labels, every, new Set(special), special.slice(1), []);
}

const whole = (positions: Positions): Text => ({
  ...{ side: "queries", positions, unit: "words" },
  units: { from: 0, to: positions.words.length },
});

describe("two stretches of one sequence", () => {
  const both = words("[CLS] who ran ? [SEP] the dog ran . [SEP]");
  const sides = { kind: "self", queries: both, keys: both } as const;

  it("stand between separators", () => {
    expect(stretches(both)).toEqual([
      { from: 1, to: 4 },
      { from: 5, to: 9 },
    ]);
    expect(hasPair(sides)).toBe(true);
  });

  it("are not found in one text, in three, or in none", () => {
    for (const text of ["[CLS] one text [SEP]", "one text alone", "[CLS] a [SEP] b [SEP] c [SEP]", "[CLS] [SEP]"]) {
      const positions = words(text);
      expect(hasPair({ kind: "self", queries: positions, keys: positions })).toBe(false);
    }
  });

  it("change places", () => {
    const first = pairOf(sides, "words", false);
    const second = pairOf(sides, "words", true);
    expect(second.target.units).toEqual(first.source.units);
    expect(second.source.units).toEqual(first.target.units);
    expect(second.target.side).toBe("queries");
  });
});

describe("a part of a text", () => {
  it("ends with the text, and is its beginning where there is no such part", () => {
    const text = whole(words("one two three four five"));
    expect(part(text, 2, 2).units).toEqual({ from: 2, to: 4 });
    expect(part(text, 4, 2).units).toEqual({ from: 4, to: 5 });
    expect(part(text, 600, 2).units).toEqual({ from: 0, to: 2 });
  });
});

describe("sentences", () => {
  const said = (text: string) => {
    const positions = words(text);
    return sentencesOf(whole(positions)).map(({ from, to }) => positions.words.slice(from, to).join(" "));
  };

  it("end at their marks, in several scripts", () => {
    expect(said("A dog ran . It was fast! هل ذهب ؟ 好。 no end")).toEqual([
      "A dog ran .",
      "It was fast!",
      "هل ذهب ؟",
      "好。",
      "no end",
    ]);
  });

  it("hold what a tokenizer added", () => {
    expect(said("<s> a dog . it ran . </s>")).toEqual(["<s> a dog .", "it ran . </s>"]);
    expect(said("</s>")).toEqual(["</s>"]);
  });
});

describe("a hard alignment", () => {
  const [source, target] = [words("ein Hund läuft </s>"), words("<s> a dog runs")];
  // The strongest of all is </s>, which no word belongs to.
  const weights = Float32Array.from([
    0.1, 0.1, 0.1, 0.7, 0.4, 0.1, 0.1, 0.4, 0.1, 0.3, 0.05, 0.55, 0, 0.1, 0.3, 0.6,
  ]);
  const reading = new FullReading({ queries: target, keys: source, unit: "words" }, weights);
  const pair = pairOf({ kind: "cross", queries: target, keys: source }, "words", false);

  it("takes each target word to its strongest source word", () => {
    expect(pharaoh(aligned(reading, pair, "strongest", 0), pair)).toBe("0-0 1-1 2-2");
  });

  it("or all that weigh enough", () => {
    expect(pharaoh(aligned(reading, pair, "enough", 0.1), pair)).toBe("0-0 0-1 1-0 1-1 1-2 2-0 2-2");
    expect(aligned(reading, pair, "enough", 0.9)).toEqual([]);
  });

  it("leaves out words without any weight", () => {
    const none = new FullReading({ queries: target, keys: source, unit: "words" }, new Float32Array(16));
    expect(aligned(none, pair, "strongest", 0)).toEqual([]);
  });
});

describe("running text", () => {
  const width = 200;
  const measure = (label: string) => 9 * label.length;
  const text = whole(
    words("a few words of several lengths that fill some lines and one thatisfartoolongforanyline ."),
  );
  const found = laid(text, width, 10, measure);

  it("stays within its width, no word over another", () => {
    expect(found.lines).toBeGreaterThan(2);
    expect(found.boxes.length).toBe(text.units.to);
    for (const [place, box] of found.boxes.entries()) {
      expect(box.x).toBeGreaterThanOrEqual(0);
      expect(box.x + box.width).toBeLessThanOrEqual(width);
      const next = found.boxes[place + 1];
      if (next) expect(next.y > box.y || next.x > box.x + box.width).toBe(true);
    }
  });

  it("is pointed at, and walked by arrows", () => {
    for (const box of found.boxes) expect(boxAt(found, box.x + box.width / 2, box.y + 3)).toBe(box);
    expect(boxAt(found, width / 2, -20)).toBeUndefined();
    expect(stepped(found, 3, [1, 0])?.index).toBe(4);
    expect(stepped(found, 0, [-1, 0])).toBeUndefined();
    const below = stepped(found, 0, [0, 1])!;
    expect(below.y).toBeGreaterThan(found.boxes[0]!.y);
    expect(below.x).toBe(0);
  });

  it("runs leftwards where its words do", () => {
    const hebrew = laid(whole(words("שלום עולם טוב")), width, 0, measure);
    const [first, second] = hebrew.boxes;
    expect(first!.x + first!.width).toBe(width);
    expect(second!.x).toBeLessThan(first!.x);
    expect(stepped(hebrew, 0, [-1, 0])?.index).toBe(1);
  });
});
