/** The heads whose lines are drawn, each with its colour: what adds and removes them. */

import { useSignal } from "@preact/signals";
import { layerNumber, placeName, shortName } from "../../content/naming";
import { type Choice, sameHead } from "../../content/report";
import type { Pane, Store } from "../../state/store";
import { type Colored, choicesOf, MOST_HEADS } from "./heads";

/** The legend, and a way to add a head. */
export function Legend({ store, pane }: { store: Store; pane: Pane }) {
  const choices = choicesOf(store, pane);
  const group = pane.group.value;
  const heads = group.layers.reduce((sum, layer) => sum + layer.heads.length, 0);
  return (
    <div class="lines-legend">
      <ul aria-label="Heads">
        {choices.map(({ choice, color }, place) => (
          <li key={nameOf(choice)} data-head={nameOf(choice)}>
            <span class="lines-color" style={{ background: color }} />
            {shortName(group, choice)}
            {place > 0 && (
              <button
                type="button"
                class="lines-remove"
                aria-label={`Remove ${placeName(group, choice)}`}
                onClick={() => store.toggle(choice)}
              >
                ×
              </button>
            )}
          </li>
        ))}
      </ul>
      {choices.length < Math.min(MOST_HEADS, heads) && <Adding store={store} pane={pane} choices={choices} />}
    </div>
  );
}

const nameOf = ({ layer, head }: Choice) => `${layer}.${head}`;

/** Picks a layer and a head to add. */
function Adding({ store, pane, choices }: { store: Store; pane: Pane; choices: readonly Colored[] }) {
  const group = pane.group.value;
  const { layers } = group;
  const asked = useSignal(pane.choice.value.layer);
  const layer = Math.min(asked.value, layers.length - 1);
  const free = layers[layer]!.heads.map((head, number) => ({
    head,
    choice: { ...pane.choice.value, layer, head: number },
  })).filter(({ choice }) => !choices.some((drawn) => sameHead(drawn.choice, choice)));
  return (
    <div class="lines-adding" title="Shift and a click on a head in the grid add it, too">
      <select
        id="lines-layer"
        aria-label="Layer of the head to add"
        value={layer}
        onChange={(event) => {
          asked.value = Number(event.currentTarget.value);
        }}
      >
        {layers.map((_, number) => (
          <option value={number}>layer {layerNumber(group, number)}</option>
        ))}
      </select>
      <select
        id="lines-add"
        aria-label="Add a head"
        value=""
        disabled={free.length === 0}
        onChange={(event) => {
          const found = free.find(({ choice }) => String(choice.head) === event.currentTarget.value);
          event.currentTarget.value = "";
          if (found) store.toggle(found.choice);
        }}
      >
        <option value="">add head…</option>
        {free.map(({ head, choice }) => (
          <option value={choice.head}>
            {choice.head}: {head.kind}
          </option>
        ))}
      </select>
    </div>
  );
}
