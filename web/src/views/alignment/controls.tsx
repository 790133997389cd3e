/** What can be set for two texts. */

import { Least } from "../../drawing/least";
import type { Pane, Store } from "../../state/store";
import { Switch } from "../parts/controls";
import { chosenOf } from "./chosen";
import type { Rule } from "./pairs";
import { namesOf, PAGE, wholePair } from "./scene";

/** The row of settings. */
export function Controls({ store, pane }: { store: Store; pane: Pane }) {
  const { rule, sentences, swapped } = chosenOf(pane);
  const reading = pane.reading.value;
  const pair = reading && wholePair(store, pane, reading);
  const first = pane.group.value.kind === "self" && pair && pair.target.units.from < pair.source.units.from;
  return (
    <div class="alignment-controls">
      <label>
        Align{" "}
        <select
          id={`alignment-rule-${pane.id}`}
          value={rule.value}
          onChange={(event) => {
            rule.value = event.currentTarget.value as Rule;
          }}
        >
          <option value="strongest">each word to its strongest</option>
          <option value="enough">all that weigh enough</option>
        </select>
      </label>
      {rule.value === "enough" && <Least store={store} id={`alignment-least-${pane.id}`} />}
      <Switch id={`alignment-sentences-${pane.id}`} label="whole sentences" of={sentences} />
      {pane.group.value.kind === "self" && (
        <button
          type="button"
          id={`alignment-swap-${pane.id}`}
          onClick={() => {
            swapped.value = Boolean(first);
          }}
        >
          swap the texts
        </button>
      )}
      {pair && <Pages pane={pane} text="target" count={pair.target.units.to - pair.target.units.from} />}
      {pair && <Pages pane={pane} text="source" count={pair.source.units.to - pair.source.units.from} />}
    </div>
  );
}

/** Which part of a long text is shown. */
function Pages({ pane, text, count }: { pane: Pane; text: "target" | "source"; count: number }) {
  if (count <= PAGE) return null;
  const first = chosenOf(pane)[text];
  return (
    <label>
      {namesOf(pane)[text]}{" "}
      <select
        id={`alignment-${text}-${pane.id}`}
        value={first.value}
        onChange={(event) => {
          first.value = Number(event.currentTarget.value);
        }}
      >
        {Array.from({ length: Math.ceil(count / PAGE) }, (_, page) => page * PAGE).map((from) => (
          <option value={from}>
            {from + 1} to {Math.min(from + PAGE, count)} of {count}
          </option>
        ))}
      </select>
    </label>
  );
}
