/** The keys of the page, and whose work stands in it. */

import type { RefObject } from "preact";
import type { Store } from "../state/store";
import { Switch } from "../views/parts/controls";
import { fitting } from "./fitting";
import { KEYS, listening } from "./keys";

const POINTING = [
  ["click, Enter", "pins a word, a weight or a head; again lets go"],
  ["shift and click", "spans several words; in the grid: draws several heads together"],
  ["arrows", "go on within a view"],
  ["Escape", "lets go of what is pinned"],
] as const;

/** A dialog that lists what the mouse and keys do. */
export function Help({ store, of }: { store: Store; of: RefObject<HTMLDialogElement | null> }) {
  const views = fitting(store).map(({ title }, place) => [String(place + 1), `view: ${title}`] as const);
  const keys = KEYS.map(({ key, says }) => [key, says] as const);
  const licences = document.getElementById("licences")?.textContent ?? "";
  return (
    <dialog id="help" ref={of} aria-labelledby="help-title">
      <form method="dialog">
        <h2 id="help-title">Keys</h2>
        <button type="submit" id="help-close" aria-label="Close">
          ×
        </button>
      </form>
      <div class="keys">
        {[POINTING, keys, views].map((part) => (
          <dl key={part[0]?.[0]}>
            {part.map(([key, says]) => (
              <div key={key}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{says}</dd>
              </div>
            ))}
          </dl>
        ))}
      </div>
      <Switch id="listening" label="single letters, digits and signs are keys" of={listening} />
      {licences.trim() && (
        <details id="whose">
          <summary>Works of others in this page</summary>
          <pre>{licences}</pre>
        </details>
      )}
    </dialog>
  );
}
