/** The controls above the pictures. */

import type { Store } from "../../state/store";
import { Choice, DirectionChoice, Switch } from "../parts/controls";
import { look, smooth } from "./options";

/** A row of controls; the direction is asked for where the picture stands on both sides. */
export function Controls({ store, hasDirection }: { store: Store; hasDirection: boolean }) {
  const { opacity } = store.options;
  return (
    <div class="controls">
      {hasDirection && <DirectionChoice store={store} />}
      <Choice id="look" label="as" of={look} values={{ colours: "colours", light: "light in the dark" }} />
      <label>
        Strength{" "}
        <input
          type="range"
          data-control="opacity"
          min="0"
          max="1"
          step="0.05"
          value={opacity.value}
          onInput={(event) => {
            opacity.value = Number(event.currentTarget.value);
          }}
        />
      </label>
      <Switch data-control="smooth" label="smooth" of={smooth} />
    </div>
  );
}
