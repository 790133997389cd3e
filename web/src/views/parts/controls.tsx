/** Small controls that stand above views and elsewhere. */

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

/** What a switch takes. */
interface SwitchProps {
  id?: string;
  "data-control"?: string;
  label: string;
  hint?: string;
  of: Signal<boolean>;
}

/** On or off. */
export function Switch({ label, hint, of, ...names }: SwitchProps) {
  return (
    <label title={hint}>
      <input
        {...names}
        type="checkbox"
        checked={of.value}
        onChange={(event) => {
          of.value = event.currentTarget.checked;
        }}
      />{" "}
      <span>{label}</span>
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
