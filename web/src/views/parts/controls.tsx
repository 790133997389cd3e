/** Small controls that views of pictures, sounds and residues have above them. */

import type { Signal } from "@preact/signals";
import type { Direction, Store } from "../../state/store";

interface ChoiceProps<T extends string> {
  id: string;
  label: string;
  of: Signal<T>;
  values: Record<T, string>;
}

/** One of a few values. */
export function Choice<T extends string>({ id, label, of, values }: ChoiceProps<T>) {
  return (
    <label>
      {label}{" "}
      <select
        data-control={id}
        value={of.value}
        onChange={(event) => {
          of.value = event.currentTarget.value as T;
        }}
      >
        {Object.entries<string>(values).map(([value, text]) => (
          <option value={value}>{text}</option>
        ))}
      </select>
    </label>
  );
}

/** On or off. */
export function Switch({ id, label, of }: { id: string; label: string; of: Signal<boolean> }) {
  return (
    <label>
      <input
        type="checkbox"
        data-control={id}
        checked={of.value}
        onChange={(event) => {
          of.value = event.currentTarget.checked;
        }}
      />{" "}
      {label}
    </label>
  );
}

/** Whether what is pointed at is a query, or a key. */
export function DirectionChoice({ store }: { store: Store }) {
  return (
    <Choice<Direction>
      id="direction"
      label="Show"
      of={store.options.direction}
      values={{ "attends to": "what it attends to", "attended by": "who attends to it" }}
    />
  );
}
