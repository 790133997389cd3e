/** Where the two columns of words are scrolled to; a saved picture shows the same place as the screen. */

import { type Signal, signal } from "@preact/signals";
import { oneOf, setting } from "../../state/settings";
import type { Pane } from "../../state/store";

/** How far each column is scrolled, in pixels, and whether they move together. */
interface Scrolled {
  queries: Signal<number>;
  keys: Signal<number>;
  linked: Signal<boolean>;
}

const places = new WeakMap<Pane, Scrolled>();

/** The place of a pane. */
export function scrolledOf(pane: Pane): Scrolled {
  const known = places.get(pane);
  if (known) return known;
  const made = {
    queries: signal(0),
    keys: signal(0),
    linked: setting(`linked-${pane.id}`, true, oneOf(false, true)),
  };
  places.set(pane, made);
  return made;
}
