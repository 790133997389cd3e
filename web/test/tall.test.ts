/** How high drawings are. */

import { describe, expect, it } from "vitest";
import { tallOf } from "../src/drawing/tall";

describe("a drawing", () => {
  it("ends above the line below it where enough is left", () => {
    for (const above of [100, 250, 400]) expect(above + tallOf(900, above, 46, 0.72)).toBeLessThanOrEqual(900 - 46);
  });

  it("takes its share of the window where little is left, since the page is scrolled then", () => {
    expect(tallOf(800, 700, 46, 0.72)).toBeCloseTo(0.72 * 800);
  });

  it("takes no more than its share", () => {
    expect(tallOf(900, 0, 0, 0.5)).toBe(450);
  });
});
