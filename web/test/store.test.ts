/** The state: heads that come late, comparison, selections in two texts, addresses. */

import { effect } from "@preact/signals";
import { describe, expect, it } from "vitest";
import { addressOf, follow, written } from "../src/state/address";
import { linked } from "../src/state/linked";
import { Store } from "../src/state/store";
import { largest, told } from "../src/state/telling";
import { report } from "./made";

const VIEWS = ["map", "text"];
const head = (layer: number, head: number, run = 0, group = 0) => ({ run, group, layer, head });

/** A store whose panes somebody looks at, and what was seen. */
function watched(of = report([[1, 2, 1]])) {
  const store = new Store(of);
  const seen: string[] = [];
  const stop = effect(() => {
    seen.push(store.panes.value.map(({ title, reading }) => `${title.value}|${reading.value !== null}`).join("+"));
  });
  return { store, seen, stop, of };
}

describe("a head that is asked for", () => {
  it("is shown once decoded, and until then the one before, whole", async () => {
    const { store, seen, of } = watched();
    expect(seen.at(-1)).toBe("Layer 1, head 2: broad|false");
    await of.answer();
    expect(seen.at(-1)).toBe("Layer 1, head 2: broad|true");
    store.choose(head(0, 1));
    await new Promise((done) => setTimeout(done));
    const [pane] = store.panes.value;
    expect(pane!.title.value).toBe("Layer 1, head 2: broad");
    expect(pane!.waiting.value).toBe(true);
    await of.answer();
    expect(seen.at(-1)).toBe("Layer 0, head 1: broad|true");
    expect(seen.filter((each) => each.includes("head 1") && each.includes("false"))).toEqual([]);
  });

  it("is the last one that was asked for, however late others come", async () => {
    const { store, seen, of } = watched();
    store.choose(head(0, 0));
    store.choose(head(0, 1));
    await of.answer();
    expect(seen.at(-1)).toBe("Layer 0, head 1: broad|true");
    expect(seen.some((each) => each === "Layer 0, head 0: broad|true")).toBe(false);
  });

  it("says why it cannot be read", async () => {
    const { store, of } = watched();
    for (const { failed } of of.asked.splice(0)) failed(new Error("array 7 is missing"));
    await of.answer();
    expect(store.panes.value[0]!.wrong.value).toBe("This head cannot be read: array 7 is missing");
  });

  it("is decoded only while somebody looks", async () => {
    const { store, stop, of } = watched();
    await of.answer();
    stop();
    store.choose(head(0, 0));
    expect(of.asked).toEqual([]);
    store.comparison.value = "beside";
    expect(of.asked).toEqual([]);
  });

  it("is read in other units at once", async () => {
    const { store, of } = watched();
    await of.answer();
    const [pane] = store.panes.value;
    expect(pane!.reading.value!.keys).toBe(3);
    store.options.unit.value = "tokens";
    expect(pane!.reading.value!.keys).toBe(4);
    store.options.hide.value = true;
    expect(pane!.reading.value!.column({ from: 0, to: 1 }).values.every((weight) => weight === 0)).toBe(true);
  });
});

describe("a comparison", () => {
  it("starts with the same head of the other run, which follows", () => {
    const store = new Store(
      report([
        [1, 2],
        [2, 1],
      ]),
    );
    expect(store.comparison.value).toBe("beside");
    expect(store.other.value).toEqual(head(1, 2, 1));
    store.choose(head(0, 1));
    expect(store.other.value).toEqual(head(0, 1, 1));
    store.other.value = head(1, 0, 1);
    store.choose(head(0, 2));
    expect(store.other.value).toEqual(head(1, 0, 1));
    store.swap();
    expect([store.choice.value, store.other.value]).toEqual([head(1, 0, 1), head(0, 2)]);
  });

  it("subtracts where the sizes agree, and says why elsewhere", async () => {
    const of = report([
      [1, 2],
      [2, 2],
    ]);
    const { store } = watched(of);
    store.comparison.value = "difference";
    await of.answer();
    expect(store.compared.value).toBe("difference");
    const [pane] = store.panes.value;
    expect(pane!.reading.value!.signed).toBe(true);
    store.options.unit.value = "tokens";
    expect(store.refusal.value).toBe("the texts differ in length: 3 and 4 tokens");
    expect(store.compared.value).toBe("beside");
  });

  it("of one run is with another head", () => {
    const store = new Store(report([[1]]));
    expect(store.other.value).not.toEqual(store.choice.value);
  });
});

describe("a selection", () => {
  const panes = (store: Store) =>
    store.panes.value as [(typeof store.panes.value)[0], (typeof store.panes.value)[0]];

  it("is found in the other text by its words", () => {
    const store = new Store(
      report([
        [1, 2, 1],
        [3, 1, 2],
      ]),
    );
    const [a, b] = panes(store);
    const other = linked(store, a, b);
    store.pointed.value = { queries: { from: 1, to: 2 }, keys: null };
    expect(other.selection.value).toEqual({ queries: { from: 3, to: 4 }, keys: null });
    other.pin({ queries: null, keys: { from: 4, to: 5 } });
    expect(store.pinned.value).toEqual({ queries: null, keys: { from: 3, to: 4 } });
    expect(other.selection.value).toEqual({ queries: null, keys: { from: 4, to: 6 } });
  });

  it("stays in its own text where words cannot be matched", () => {
    const store = new Store(
      report([
        [1, 2, 1],
        [3, 1],
      ]),
    );
    const [a, b] = panes(store);
    const other = linked(store, a, b);
    store.pin({ queries: { from: 0, to: 1 }, keys: null });
    expect(other.selection.value).toBe(null);
    other.pointed.value = { queries: { from: 3, to: 4 }, keys: null };
    expect(other.selection.value).toEqual({ queries: { from: 3, to: 4 }, keys: null });
    expect(store.selection.value).toEqual({ queries: { from: 0, to: 1 }, keys: null });
    store.letGo();
    expect([store.selection.value, other.selection.value]).toEqual([null, null]);
  });

  it("is told with its numbers, and words that turn the direction apart", async () => {
    const { store, of } = watched();
    await of.answer();
    store.pin({ queries: { from: 1, to: 2 }, keys: { from: 0, to: 1 } });
    const pane = store.panes.value[0]!;
    const { mean } = pane.reading.value!.spot({ from: 1, to: 2 }, { from: 0, to: 1 });
    expect(told(store, pane)).toContain(`word1 → word0: ${(100 * mean).toFixed(1)} %`);
    (pane.keys.value.words as string[])[0] = "\u05d0\u202e";
    expect(told(store, pane)).toContain("\u2068\u05d0\u2069:");
    (pane.keys.value.words as string[])[0] = "w".repeat(5000);
    expect(told(store, pane)).toMatch(/^word1 → w{60}…: [\d.]+ %/);
    store.pin({ queries: { from: 1, to: 2 }, keys: null });
    expect(told(store, pane).length).toBeLessThan(300);
  });

  it("tells a word of one text from the same word of the other", async () => {
    const of = report([[1, 2, 1]]);
    Object.assign(of.runs[0]!.groups[0]!, { kind: "cross" });
    const { store } = watched(of);
    await of.answer();
    const pane = store.panes.value[0]!;
    store.pin({ queries: { from: 1, to: 3 }, keys: { from: 1, to: 3 } });
    expect(told(store, pane)).toMatch(/^Target word word1 attends to source word word1: [\d.]+ %/);
    store.options.unit.value = "tokens";
    expect(told(store, pane)).toMatch(
      /^Target tokens token1 token2 attend to source tokens token1 token2: [\d.]+ %/,
    );
    store.pin({ queries: null, keys: { from: 0, to: 1 } });
    expect(told(store, pane)).toMatch(/^Who attends to source token token0: token\d /);
  });

  it("names the largest, without those that are nothing", () => {
    expect(largest(Float32Array.of(0.1, 0, -0.5, 0.3, Number.NaN), 9)).toEqual([2, 3, 0]);
  });
});

describe("a report", () => {
  const named = () => {
    const of = report([[1, 2, 1]], ["cross", "cross, mean"]);
    Object.assign(of.runs[0]!, { view: "text" });
    Object.assign(of.runs[0]!.groups[1]!, { firstLayer: 2, headName: "mean", shown: [0, 0] });
    return of;
  };

  it("names layers as the model numbers them, and heads that are none of the model's", () => {
    const store = new Store(named());
    expect(store.title(head(1, 2))).toBe("Layer 1, head 2, cross: broad");
    expect(store.title(head(1, 0, 0, 1))).toBe("Layer 3, cross, mean: broad");
  });

  it("says which view opens, and an address that names none means that one", () => {
    const store = new Store(named());
    expect(store.view.value).toBe("text");
    const standard = written(store);
    follow(store, "view=map", standard, VIEWS);
    expect(store.view.value).toBe("map");
    expect(addressOf(written(store), standard)).toBe("view=map");
    follow(store, "", standard, VIEWS);
    expect(store.view.value).toBe("text");
  });
});

describe("an address", () => {
  it("gives back what it was written from", () => {
    const standard = written(new Store(report([[1, 2, 1]], ["self", "again"])));
    const store = new Store(report([[1, 2, 1]], ["self", "again"]));
    store.choose(head(0, 1, 0, 1));
    store.toggle(head(1, 1, 0, 1));
    store.other.value = head(1, 0);
    store.comparison.value = "difference";
    store.view.value = "text";
    store.pin({ queries: { from: 1, to: 3 }, keys: null });
    Object.assign(store.options.hide, { value: true });
    store.options.direction.value = "attended by";
    store.options.sort.value = "entropy";
    store.options.opacity.value = 0.25;
    const address = addressOf(written(store), standard);
    const other = new Store(report([[1, 2, 1]], ["self", "again"]));
    follow(other, address, standard, VIEWS);
    expect([...written(other)]).toEqual([...written(store)]);
    follow(other, "", standard, VIEWS);
    expect([...written(other)]).toEqual([...standard]);
  });

  it.each([
    "head=9.9.9.9&with=0.0.0.99",
    "head=junk&view=nowhere&compare=maybe",
    "head=-1.0.0.0&together=0.0.9.9_&queries=5-2&keys=0-99",
    "unit=letters&opacity=7&least=x&hide=perhaps&sort=beauty&colour=%00",
    "%%%&&&===",
    "head=1e3.0.0.0&head=0.0.0.99999999999999999999",
    "__proto__=1&constructor=2",
  ])("that names nothing changes nothing: %s", (address) => {
    const store = new Store(report([[1, 2, 1]]));
    const standard = written(store);
    follow(store, address, standard, VIEWS);
    expect(addressOf(written(store), standard)).toBe("");
  });

  it("compares a head with that of the other run unless it says otherwise", () => {
    const store = new Store(
      report([
        [1, 2],
        [2, 1],
      ]),
    );
    follow(store, "head=0.0.0.1", written(store), VIEWS);
    expect(store.other.value).toEqual(head(0, 1, 1));
  });

  it("draws no head twice, and none of other positions", () => {
    const store = new Store(report([[1, 2]], ["self", "again"]));
    follow(store, "together=0.0.0.1_0.0.0.1_0.1.0.0", written(store), VIEWS);
    expect(store.together.value).toEqual([head(0, 1)]);
  });
});
