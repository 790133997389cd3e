/** What the reader set for this view, a pane each. */

import { type Signal, signal } from "@preact/signals";
import { oneOf, setting } from "../../state/settings";
import type { Pane } from "../../state/store";
import type { Rule } from "./pairs";

/** How texts are shown. */
interface Chosen {
  /** Whether the second of two stretches attends to the first; null: whichever has weights. */
  swapped: Signal<boolean | null>;
  rule: Signal<Rule>;
  /** Whether pointing selects whole sentences. */
  sentences: Signal<boolean>;
  /** The first unit shown of each text, where it is long. */
  target: Signal<number>;
  source: Signal<number>;
}

const all = new WeakMap<Pane, Chosen>();

/** The settings of a pane. */
export function chosenOf(pane: Pane): Chosen {
  const known = all.get(pane);
  if (known) return known;
  const made: Chosen = {
    swapped: setting<boolean | null>(`swapped-${pane.id}`, null, oneOf<boolean | null>(false, true)),
    rule: setting<Rule>(`pairs-${pane.id}`, "strongest", oneOf<Rule>("strongest", "enough")),
    sentences: setting(`sentences-${pane.id}`, false, oneOf(false, true)),
    target: signal(0),
    source: signal(0),
  };
  all.set(pane, made);
  return made;
}
