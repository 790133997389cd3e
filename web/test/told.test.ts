/** Sentences in saved pictures. */

import { describe, expect, it } from "vitest";
import { broken } from "../src/views/receipt/told";

describe("lines of a sentence", () => {
  for (const sentence of [
    "",
    "one",
    "many short words on one line and the next",
    "x".repeat(95),
    "日本語".repeat(20),
  ])
    it(`hold all of ${sentence.slice(0, 12)} and no line is too long`, () => {
      const lines = broken(sentence, 20);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(20);
      expect(lines.join("").replaceAll(" ", "")).toBe(sentence.replaceAll(" ", ""));
    });
});
