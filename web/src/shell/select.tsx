/** A choice among few values. */

import type { Signal } from "@preact/signals";

/** What a choice takes. */
interface ChoosingProps {
  id: string;
  label: string;
  hint?: string | undefined;
  value: string | number;
  values: readonly { value: string | number; text: string }[];
  choose: (value: string) => void;
}

/** A select with its label. */
export function Choosing({ id, label, hint, value, values, choose }: ChoosingProps) {
  return (
    <label title={hint}>
      <span>{label}</span>
      <select id={id} value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {values.map((each) => (
          <option key={each.value} value={each.value}>
            {each.text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** An option with its values. */
interface OptionProps<T extends string> {
  id: string;
  label: string;
  hint?: string;
  of: Signal<T>;
  values: Record<T, string>;
}

/** A select that sets an option. */
export function Option<T extends string>({ id, label, hint, of, values }: OptionProps<T>) {
  const choices = Object.entries<string>(values).map(([value, text]) => ({ value, text }));
  const choose = (value: string) => {
    of.value = value as T;
  };
  return <Choosing id={id} label={label} hint={hint} value={of.value} values={choices} choose={choose} />;
}
