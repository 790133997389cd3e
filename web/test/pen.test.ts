/** Texts that are drawn. */

import { describe, expect, it } from "vitest";
import { luminance, shading } from "../src/drawing/colors";
import { cut, isolated } from "../src/drawing/pen";

const letters = (text: string) => text.length;

describe("a text that is cut", () => {
  it("is left alone where it fits", () => expect(cut("word", 4, letters)).toBe("word"));

  it("is as long as fits", () => {
    for (let width = 1; width < 12; width++)
      expect(cut("attention is all", width, letters)).toBe(`${"attention is all".slice(0, width - 1)}…`);
  });

  it.each(["👩‍🚀👩‍🚀👩‍🚀", "e\u0301e\u0301e\u0301", "🇩🇪🇫🇷🇮🇹", "नमस्ते"])("keeps signs whole: %s", (text) => {
    const signs = Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment);
    const starts = signs.map((_, count) => `${signs.slice(0, count).join("")}…`);
    for (let width = 1; width < text.length; width++) expect(starts).toContain(cut(text, width, letters));
  });

  it("costs few measurements, however long it is", () => {
    let asked = 0;
    const measure = (text: string) => {
      asked++;
      return text.length;
    };
    expect(cut("a".repeat(1_000_000), 10, measure).length).toBe(10);
    expect(asked).toBeLessThan(30);
  });
});

it("a text that is isolated holds no marks that turn its neighbours", () => {
  expect(isolated("a\u202eb\u2066c\u2069\u202c")).toBe("\u2068abc\u2069");
});

describe("colours", () => {
  it.each(["cividis", "viridis", "magma", "greys"] as const)("of %s bear ink that can be read", (palette) => {
    const shades = shading(palette, "linear", 1, false);
    for (let weight = 0; weight <= 1; weight += 1 / 64) {
      const [light, dark] = [luminance(shades.color(weight)), shades.ink(weight) === "#000" ? 0 : 1].sort();
      expect((dark! + 0.05) / (light! + 0.05)).toBeGreaterThan(4.5);
      const [red, green, blue] = shades.color(weight);
      expect(shades.css(weight)).toBe(`rgb(${red} ${green} ${blue})`);
      expect([...new Uint8Array(Uint32Array.of(shades.pixel(weight)).buffer)]).toEqual([red, green, blue, 255]);
    }
  });

  it.each(["linear", "root", "log"] as const)(
    "rise with the weight on the scale %s, and with both signs",
    (scale) => {
      const shades = shading("cividis", scale, 0.5, true);
      const places = [-0.6, -0.5, -0.1, 0, 0.1, 0.5, 0.6].map(shades.place);
      expect(places).toEqual([...places].sort((a, b) => a - b));
      expect([places[0], places[1], places[5], places[6]]).toEqual([-1, -1, 1, 1]);
      expect(Math.abs(places[3]!)).toBe(0);
      expect(shades.css(Number.NaN)).toBe(shades.css(0));
    },
  );
});
