/** Chooses between what words attend to and who attends to them. */

import type { Direction, Pane, Store } from "../../state/store";
import { directionOf, turned } from "./choosing";

const WORDS: Record<Direction, string> = {
  "attends to": "What it attends to",
  "attended by": "Who attends to it",
};

/** Two buttons, of which one is pressed; for one text, in which words may be chosen as either. */
export function Switch({ store, pane }: { store: Store; pane: Pane }) {
  const { direction } = store.options;
  const now = directionOf(store.pinned.value, direction.value);
  const choose = (next: Direction) => {
    const { value } = store.pinned;
    if (next !== now && value && (!value.queries || !value.keys)) store.pinned.value = turned(value);
    direction.value = next;
  };
  return (
    <fieldset class="switch" aria-label="Direction">
      {(Object.keys(WORDS) as Direction[]).map((each) => (
        <button
          type="button"
          id={`direction-${pane.id}-${each.replace(" ", "-")}`}
          aria-pressed={each === now}
          onClick={() => choose(each)}
        >
          {WORDS[each]}
        </button>
      ))}
    </fieldset>
  );
}
