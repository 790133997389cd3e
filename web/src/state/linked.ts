/** One selection in two panes, and one scale: what is selected in one text is found in the other by its words. */

import { computed, type Signal, signal } from "@preact/signals";
import type { Positions, Range } from "../content/positions";
import type { Pane, Selection, Store } from "./store";

const made = new WeakMap<Pane, Store>();

/** The panes that are shown, each with the store as it reads it. */
export function panesOf({ root }: Store): readonly (readonly [Store, Pane])[] {
  const panes = root.panes.value;
  return panes.map((pane) => {
    const store = pane === panes[0] ? root : (made.get(pane) ?? linked(root, panes[0]!, pane));
    made.set(pane, store);
    return [store, pane] as const;
  });
}

/** The largest number of any pane: where heads stand beside one another, equal colours mean equal weights. */
export const ofAllPanes = (store: Store, largest: (store: Store, pane: Pane) => number): number =>
  panesOf(store).reduce((most, [own, pane]) => Math.max(most, largest(own, pane)), 0);

/** The weight that the strongest colour stands for. */
export const reachOf = (store: Store, largest: (store: Store, pane: Pane) => number): number =>
  store.options.reach.value === "one" ? 1 : ofAllPanes(store, largest);

/** The store as the second pane reads it, its selections in tokens of that pane's own texts. */
export function linked(store: Store, from: Pane, to: Pane): Store {
  const sides = () =>
    [
      [from.queries.value, to.queries.value],
      [from.keys.value, to.keys.value],
    ] as const;
  const same = () => sides().every(([one, other]) => corresponds(one, other));
  const through = (of: "pointed" | "pinned") =>
    lens(
      () => (same() ? translated(store[of].value, sides()) : store.apart[of].value),
      (selection) => {
        if (same()) store[of].value = translated(selection, sides().map(turned) as unknown as Sides);
        else store.apart[of].value = selection;
      },
    );
  const own = { pointed: through("pointed"), pinned: through("pinned") };
  return Object.assign(Object.create(store) as Store, own, {
    selection: computed(() => own.pointed.value ?? own.pinned.value),
  });
}

type Sides = readonly [queries: Pair, keys: Pair];
type Pair = readonly [from: Positions, to: Positions];

const turned = ([one, other]: Pair): Pair => [other, one];

/** Whether the words of two texts can be told by their numbers. */
const corresponds = (one: Positions, other: Positions) => one.words.length === other.words.length;

/** Whether the words of two texts hold the same tokens. */
const agree = (one: Positions, other: Positions) =>
  one === other || one.starts.every((start, word) => start === other.starts[word]);

function translated(selection: Selection | null, [queries, keys]: Sides): Selection | null {
  return selection && { queries: moved(selection.queries, queries), keys: moved(selection.keys, keys) };
}

function moved(range: Range | null, [from, to]: Pair): Range | null {
  if (range === null || agree(from, to)) return range;
  const words = from.unitsOf("words", range);
  if (words.to <= words.from) return { from: 0, to: 0 };
  return { from: to.tokensOf("words", words.from).from, to: to.tokensOf("words", words.to - 1).to };
}

/** A signal that reads and writes others. */
function lens<T>(get: () => T, set: (value: T) => void): Signal<T> {
  const seen = computed(get);
  const made = signal<T>(seen.peek());
  return Object.defineProperties(made, {
    value: { get: () => seen.value, set },
    peek: { value: () => seen.peek() },
  });
}
