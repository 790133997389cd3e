/** Which head is shown, what it is compared with, and the options that views share. */

import { useSignal } from "@preact/signals";
import type { Unit } from "../content/positions";
import type { Palette, Pooling, Reach, Scale, Store, Theme } from "../state/store";
import { Switch } from "../views/parts/controls";
import { Compare } from "./compare";
import { HeadPicker, show } from "./heads";
import { Option } from "./select";

/** The options; those that are needed seldom, on small screens most of them, stand behind a button. */
export function Toolbar({ store }: { store: Store }) {
  const { options, report, choice, other } = store;
  const hasPieces = [choice.value, other.value].some(
    (head) => report.queries(head).hasPieces || report.keys(head).hasPieces,
  );
  const isOpen = useSignal(false);
  return (
    <section id="options" aria-label="Options" data-open={isOpen.value}>
      <div class="group" id="chosen">
        <HeadPicker store={store} choice={choice.value} choose={(asked) => show(store, asked)} />
      </div>
      <Compare store={store} />
      <div class="group rest">
        {hasPieces && (
          <Option<Unit> id="unit" label="Units" of={options.unit} values={{ words: "words", tokens: "tokens" }} />
        )}
        <Option<Scale>
          id="scale"
          label="Scale"
          hint="How colours rise with weights"
          of={options.scale}
          values={{ linear: "linear", root: "square root", log: "logarithmic" }}
        />
        <Option<Pooling>
          id="pooling"
          label="Cells"
          hint="What a cell of several weights shows: all of them together, or the largest"
          of={options.pooling}
          values={{ mean: "together", max: "largest" }}
        />
        <Switch
          id="hide"
          label="hide sinks"
          hint="The first word, separators and what the tokenizer added take no weight"
          of={options.hide}
        />
      </div>
      <div class="group extra" id="extra">
        <Option<Reach>
          id="reach"
          label="Colours up to"
          hint="Which weight the strongest colour stands for"
          of={options.reach}
          values={{ one: "100 %", largest: "the largest" }}
        />
        <Option<Palette>
          id="palette"
          label="Palette"
          of={options.palette}
          values={{ cividis: "cividis", viridis: "viridis", magma: "magma", greys: "greys" }}
        />
        <Option<Theme>
          id="theme"
          label="Theme"
          of={options.theme}
          values={{ system: "system", light: "light", dark: "dark" }}
        />
      </div>
      <button
        type="button"
        id="more"
        aria-expanded={isOpen.value}
        aria-controls="options"
        onClick={() => {
          isOpen.value = !isOpen.value;
        }}
      >
        {isOpen.value ? "Less" : "More"}
      </button>
    </section>
  );
}
