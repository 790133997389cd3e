/** A map by the keyboard: arrows walk from weight to weight, Enter pins, + - and 0 zoom. */

import type { Range } from "../../content/positions";
import type { Selection, Store } from "../../state/store";
import { enlarge, type Field } from "./gestures";
import { spotAt } from "./pointing";
import type { Sight } from "./scene";
import { pixelOf, sideOf } from "./sides";
import { holding, whole } from "./window";

const STEPS: Record<string, [queries: number, keys: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};
/** How many cells shift and an arrow go. */
const FAR = 10;
const FACTOR = 1.6;

/** What a key did; false where it means nothing here. */
export function walk(event: KeyboardEvent, store: Store, sight: Sight, field: Field): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const step = STEPS[event.key];
  if (step) {
    for (let far = event.shiftKey ? FAR : 1; far > 0; far--)
      store.pointed.value = walked(sight, store.selection.value, step);
    show(store.pointed.value!, sight, field);
    return true;
  }
  if (event.key === "+" || event.key === "=") enlargeChosen(store, sight, field, FACTOR);
  else if (event.key === "-" || event.key === "_") enlargeChosen(store, sight, field, 1 / FACTOR);
  else if (event.key === "0") field.window.set(whole(field.size().queries, field.size().keys));
  else if (event.key === "Enter" || event.key === " ") return pinned(store);
  else return false;
  return true;
}

function pinned(store: Store): boolean {
  const selection = store.selection.value;
  if (selection) store.pin(selection);
  return selection !== null;
}

/** What stands beside the selection; where there is none yet, the first in sight. */
function walked(sight: Sight, selection: Selection | null, [down, right]: [number, number]): Selection {
  const { window, unit } = sight;
  if (selection === null) return spotAt(sight, window.queries.from + 0.01, window.keys.from + 0.01);
  const query = selection.queries && sight.queries.unitsOf(unit, selection.queries);
  const key = selection.keys && sight.keys.unitsOf(unit, selection.keys);
  const next = spotAt(
    sight,
    beside(query, window.queries, sight.reading.queries, down),
    beside(key, window.keys, sight.reading.keys, right),
  );
  // A whole row stays one while walking up and down, and a whole column while walking across.
  if (!key && down !== 0) return { queries: next.queries, keys: null };
  if (!query && right !== 0) return { queries: null, keys: next.keys };
  return next;
}

function beside(range: Range | null, span: Range, count: number, step: number): number {
  const { from, to } = range ?? { from: span.from, to: span.from + 1 };
  const place = step < 0 ? from - 0.5 : step > 0 ? to + 0.5 : (from + to) / 2;
  return Math.max(0, Math.min(count - 0.5, place));
}

/** Brings a selection into sight. */
function show(selection: Selection, { queries, keys, unit, reading }: Sight, field: Field): void {
  const { window } = field;
  const seen = window.get();
  const query = selection.queries && queries.unitsOf(unit, selection.queries);
  const key = selection.keys && keys.unitsOf(unit, selection.keys);
  window.set({
    queries: query ? holding(seen.queries, reading.queries, query) : seen.queries,
    keys: key ? holding(seen.keys, reading.keys, key) : seen.keys,
  });
}

/** Zooms around what is selected, else around the middle. */
export function enlargeChosen(store: Store, sight: Sight, field: Field, factor: number): void {
  const middle = (name: "queries" | "keys") => {
    const side = sideOf(sight, name);
    const tokens = store.selection.value?.[name];
    const range = tokens ? side.positions.unitsOf(sight.unit, tokens) : side.span;
    const pixel = pixelOf(side, (range.from + range.to) / 2);
    return pixel > side.start && pixel < side.start + side.pixels ? pixel : side.start + side.pixels / 2;
  };
  enlarge(field, factor, middle("keys"), middle("queries"));
}
