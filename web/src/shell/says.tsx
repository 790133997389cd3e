/** The line below the view that tells what is selected: at once for the eye, at rest for a screen reader. */

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { Pane, Store } from "../state/store";
import { told } from "../state/telling";
import { done } from "./done";

/** How long a selection must last before it is read out. */
const AT_REST = 150;

/** What is selected in each of the panes. */
export function Says({ stores, panes }: { stores: readonly Store[]; panes: readonly Pane[] }) {
  const store = stores[0]!;
  const shown = useSignal({ stores, panes });
  if (shown.peek().panes !== panes) shown.value = { stores, panes };
  const lines = useComputed(() =>
    shown.value.panes
      .map((pane, place) => ({ id: pane.id, text: told(shown.value.stores[place]!, pane) }))
      .filter(({ text }) => text !== ""),
  );
  const announced = useSignal("");
  useSignalEffect(() => {
    const isOne = shown.value.panes.length === 1;
    const text = lines.value.map((line) => (isOne ? line.text : `${line.id}: ${line.text}`)).join("; ");
    const waiting = setTimeout(() => {
      announced.value = text;
    }, AT_REST);
    return () => clearTimeout(waiting);
  });
  return (
    <footer id="status">
      <div id="says" aria-hidden="true" data-panes={panes.length}>
        {lines.value.length === 0 && <p class="soft">Point at a word or at a weight; a click pins it.</p>}
        {lines.value.map(({ id, text }) => (
          <p key={id} data-of={id}>
            {text}
          </p>
        ))}
      </div>
      <p id="done" class="soft" role="status">
        {done}
      </p>
      {(store.pinned.value ?? store.apart.pinned.value) && (
        <button type="button" id="let-go" title="Let go of what is pinned (Escape)" onClick={() => store.letGo()}>
          let go
        </button>
      )}
      <p id="announced" class="unseen" role="status" aria-live="polite">
        {announced}
      </p>
    </footer>
  );
}
