/** The text itself, to be read, each word shaded by what the chosen one attends to or by who attends to it. */

import { useSignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import type { Place, Side } from "../../state/sides";
import type { View, ViewProps } from "../view";
import { hasText } from "./blocks";
import { Caption, Exactness } from "./caption";
import { drawing } from "./drawing";
import { Find } from "./find";
import { shownIn } from "./shade";
import { Sheet } from "./sheet";
import { Switch } from "./switch";
import "./text.css";

/** Texts of fewer words are seen at a glance. */
const SHORT = 60;

const SIDES: Record<Side, string> = { queries: "Queries", keys: "Keys" };

function TextView({ store, pane }: ViewProps) {
  const shown = useMemo(() => shownIn(store, pane), [store, pane]);
  const found = useSignal<Place | null>(null);
  const isOne = pane.group.value.kind === "self";
  const all = { store, pane, isOne, shown, found };
  const isLong = [pane.queries.value, pane.keys.value].some(({ words }) => words.length > SHORT);
  const { run, group: number } = pane.choice.value;
  return (
    <div class="text-view">
      <div class="tools">
        {isOne && <Switch store={store} pane={pane} />}
        {isLong && <Find {...all} shade={shown.shade} />}
      </div>
      <Caption store={store} pane={pane} shade={shown.shade} />
      <div class="sheets" data-count={isOne ? 1 : 2}>
        {(isOne ? (["queries"] as const) : (["queries", "keys"] as const)).map((side) => (
          <section key={`${run}.${number}.${side}`} aria-label={isOne ? "Text" : SIDES[side]}>
            {!isOne && <h3>{SIDES[side]}</h3>}
            <Sheet {...all} side={side} label={isOne ? "Text" : SIDES[side]} />
          </section>
        ))}
      </div>
      <Exactness store={store} pane={pane} shade={shown.shade} />
    </div>
  );
}

/** The text. */
export const text: View = {
  name: "text",
  title: "Text",
  hint: "The text itself, each word shaded by what the chosen one attends to, or by who attends to it",
  fits: (_, pane) => hasText(pane.queries.value) || hasText(pane.keys.value),
  Component: TextView,
  drawing,
};
