/** The options that all views share. */

import type { Signal } from "@preact/signals";
import type { Unit } from "../content/positions";
import type { Palette, Pooling, Reach, Scale, Store, Theme } from "../state/store";

/** The row of options. */
export function Toolbar({ store }: { store: Store }) {
  const { options, report } = store;
  const { run, group } = store.choice.value;
  const groups = report.runs[run]!.groups;
  const hasPieces = report.queries({ run, group }).hasPieces || report.keys({ run, group }).hasPieces;
  return (
    <div id="options" role="toolbar" aria-label="Options">
      {groups.length > 1 && (
        <label>
          Show{" "}
          <select
            id="group"
            value={group}
            onChange={(event) => store.choose(report.first(run, Number(event.currentTarget.value)))}
          >
            {groups.map(({ name }, place) => (
              <option value={place}>{name}</option>
            ))}
          </select>
        </label>
      )}
      {hasPieces && (
        <Select<Unit> id="unit" label="Units" of={options.unit} values={{ words: "words", tokens: "tokens" }} />
      )}
      <Select<Scale>
        id="scale"
        label="Scale"
        of={options.scale}
        values={{ linear: "linear", root: "square root", log: "logarithmic" }}
      />
      <Select<Reach> id="reach" label="up to" of={options.reach} values={{ one: "1", largest: "the largest" }} />
      <Select<Pooling>
        id="pooling"
        label="Cells"
        of={options.pooling}
        values={{ mean: "together", max: "largest weight" }}
      />
      <Select<Palette>
        id="palette"
        label="Colours"
        of={options.palette}
        values={{ cividis: "cividis", viridis: "viridis", magma: "magma", greys: "greys" }}
      />
      <Select<Theme>
        id="theme"
        label="Theme"
        of={options.theme}
        values={{ system: "system", light: "light", dark: "dark" }}
      />
      <label>
        <input
          id="hide"
          type="checkbox"
          checked={options.hide}
          onChange={(event) => {
            options.hide.value = event.currentTarget.checked;
          }}
        />{" "}
        hide sinks and separators
      </label>
    </div>
  );
}

/** One option with a few values. */
function Select<T extends string>({
  id,
  label,
  of,
  values,
}: {
  id: string;
  label: string;
  of: Signal<T>;
  values: Record<T, string>;
}) {
  return (
    <label>
      {label}{" "}
      <select
        id={id}
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
