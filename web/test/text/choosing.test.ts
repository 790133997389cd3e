/** What pointing and choosing select, in one text and in two. */

import { describe, expect, it } from "vitest";
import type { Selection } from "../../src/state/store";
import { chosenOf, directionOf, metOf, pointing, turned } from "../../src/views/text/choosing";

const [a, b] = [
  { from: 1, to: 2 },
  { from: 4, to: 6 },
];
const query: Selection = { queries: a, keys: null };
const key: Selection = { queries: null, keys: a };

describe("in one text", () => {
  it("pointing chooses a word in the direction that the reader asked for", () => {
    expect(pointing({ side: "queries", tokens: b }, null, "attends to", true)).toEqual({ queries: b, keys: null });
    expect(pointing({ side: "queries", tokens: b }, null, "attended by", true)).toEqual({ queries: null, keys: b });
  });

  it("pointing beside a pinned word selects the weight between the two", () => {
    expect(pointing({ side: "queries", tokens: b }, query, "attends to", true)).toEqual({ queries: a, keys: b });
    expect(pointing({ side: "queries", tokens: b }, key, "attended by", true)).toEqual({ queries: b, keys: a });
  });
});

describe("in two texts", () => {
  it("pointing chooses on the side pointed at, and the weight across from a pinned word", () => {
    expect(pointing({ side: "keys", tokens: b }, null, "attends to", false)).toEqual({ queries: null, keys: b });
    expect(pointing({ side: "keys", tokens: b }, query, "attends to", false)).toEqual({ queries: a, keys: b });
    expect(pointing({ side: "queries", tokens: b }, query, "attends to", false)).toEqual({
      queries: b,
      keys: null,
    });
  });
});

describe("what is pinned", () => {
  it("says the direction where it lies on one side", () => {
    expect(directionOf(query, "attended by")).toBe("attends to");
    expect(directionOf(key, "attends to")).toBe("attended by");
    expect(directionOf({ queries: a, keys: b }, "attended by")).toBe("attended by");
    expect(directionOf(null, "attends to")).toBe("attends to");
  });

  it("of a weight, one end is chosen and the other met", () => {
    const spot = { queries: a, keys: b };
    const [from, to] = [chosenOf(spot, "attends to"), chosenOf(spot, "attended by")];
    expect([from, metOf(spot, from)]).toEqual([
      { side: "queries", tokens: a },
      { side: "keys", tokens: b },
    ]);
    expect([to, metOf(spot, to)]).toEqual([
      { side: "keys", tokens: b },
      { side: "queries", tokens: a },
    ]);
    expect(chosenOf(null, "attends to")).toBeNull();
    expect(metOf(query, chosenOf(query, "attends to"))).toBeNull();
  });

  it("turns round with the direction", () => {
    expect(turned(query)).toEqual(key);
    expect(turned(null)).toBeNull();
  });
});
