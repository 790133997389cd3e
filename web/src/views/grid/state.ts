/** What the grid shows, and what a click on a head does. */

import { signal } from "@preact/signals";
import type { Choice } from "../../content/report";
import type { Group } from "../../content/schema";
import { seriesColor } from "../../drawing/series";
import { setting } from "../../state/settings";
import type { Store } from "../../state/store";
import type { Marked } from "./painting";

/** The kind that is looked for, "" for all; heads of other kinds fade. */
export const kind = setting("kind", "", (name) => name);
/** Whether a click adds heads to those that are drawn together, as a click with the shift key does. */
export const several = signal(false);
/** The head that is pointed at. */
export const looked = signal<Choice | null>(null);

/** A grid of heads: those of the chosen head's group, or of the one that it is compared with. */
export type Side = "a" | "b";

/** The head of a side. */
export const chosenOf = (store: Store, side: Side): Choice =>
  side === "a" ? store.choice.value : store.other.value;

/** The sides that are shown: both where the two heads of a comparison are of different groups. */
export function sidesOf(store: Store): readonly Side[] {
  const [a, b] = [store.choice.value, store.other.value];
  return store.compared.value === "off" || sameGroup(a, b) ? ["a"] : ["a", "b"];
}

/** The groups that are shown. */
export const groupsOf = (store: Store): Group[] =>
  sidesOf(store).map((side) => store.report.group(chosenOf(store, side)));

/** Takes a head that was clicked, with the keys that were held. */
export function take(store: Store, side: Side, head: Choice, held: { add: boolean; compare: boolean }): void {
  if (held.compare || side === "b") {
    store.other.value = head;
    if (store.comparison.value === "off") store.comparison.value = "beside";
  } else if (held.add || several.value) store.toggle(head);
  else store.choose(head);
}

/** The heads of a side that stand out, the chosen one last. */
export function markedOf(store: Store, side: Side): Marked[] {
  const { choice, other, companions } = store;
  const comparing = store.compared.value !== "off";
  const marks = [
    ...companions.value.map((each, place) => ({ of: each, color: seriesColor(place + 1), letter: " " })),
    ...(comparing ? [{ of: other.value, color: seriesColor(0), letter: "B" }] : []),
    { of: choice.value, color: null, letter: comparing ? "A" : "" },
  ];
  const chosen = chosenOf(store, side);
  return marks
    .filter(({ of }) => sameGroup(of, chosen))
    .map(({ of: { layer, head }, color, letter }) => ({ layer, head, color, letter }));
}

const sameGroup = (a: Choice, b: Choice) => a.run === b.run && a.group === b.group;
