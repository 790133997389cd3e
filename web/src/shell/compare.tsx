/** Two heads beside one another, or one subtracted from the other. */

import type { Comparison, Store } from "../state/store";
import { HeadPicker } from "./heads";

const KINDS: readonly { value: Comparison; text: string; hint: string }[] = [
  { value: "off", text: "off", hint: "One head" },
  { value: "beside", text: "beside", hint: "Two heads beside one another, with one selection" },
  { value: "difference", text: "difference", hint: "The first head's weights less those of the second" },
];

/** What is compared, and how. */
export function Compare({ store }: { store: Store }) {
  const { comparison, compared, refusal, other, choice, report } = store;
  const { kind } = report.group(choice.value);
  const why = `A difference cannot be drawn: ${refusal.value}.`;
  return (
    <fieldset id="compare" class="group rest">
      <legend>Compare</legend>
      <span class="segments">
        {KINDS.map(({ value, text, hint }) => (
          <label key={value} title={value === "difference" && refusal.value ? why : hint}>
            <input
              type="radio"
              name="compare"
              value={value}
              checked={compared.value === value}
              disabled={value === "difference" && refusal.value !== ""}
              onChange={() => {
                comparison.value = value;
              }}
            />
            <span>{text}</span>
          </label>
        ))}
      </span>
      {compared.value !== "off" && (
        <>
          <span>with</span>
          <HeadPicker
            store={store}
            prefix="with-"
            choice={other.value}
            allows={(run, group) => report.group({ run, group }).kind === kind}
            choose={(asked) => {
              other.value = asked;
            }}
          />
          <button type="button" id="swap" title="Each head takes the other's place" onClick={() => store.swap()}>
            swap
          </button>
        </>
      )}
      {compared.value !== "off" && refusal.value && (
        <span id="refusal" class="soft">
          {why}
        </span>
      )}
    </fieldset>
  );
}
