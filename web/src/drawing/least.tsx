/** Sets the smallest weight that is drawn as a line. */

import { percent } from "../content/numbers";
import type { Store } from "../state/store";

const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;

/** A slider over weights, finer where they are small. */
export function Least({ store, id }: { store: Store; id: string }) {
  const { least } = store.options;
  const step = STEPS.findLastIndex((weight) => weight <= least.value + 1e-9);
  return (
    <label class="least">
      Lines from{" "}
      <input
        id={id}
        type="range"
        min={0}
        max={STEPS.length - 1}
        value={Math.max(0, step)}
        aria-valuetext={percent(least.value)}
        onInput={(event) => {
          least.value = STEPS[Number(event.currentTarget.value)]!;
        }}
      />{" "}
      <output for={id}>{percent(least.value)}</output>
    </label>
  );
}
