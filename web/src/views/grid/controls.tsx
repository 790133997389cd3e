/** What stands over the grid: order, colours and their legend, and the kinds of heads. */

import type { Signal } from "@preact/signals";
import { plain } from "../../content/numbers";
import { painted } from "../../drawing/colors";
import { Drawn } from "../../drawing/drawn";
import type { Store } from "../../state/store";
import { Switch } from "../parts/controls";
import { statisticShading } from "./picture";
import { groupsOf, kind, several } from "./state";
import { kindsOf, statisticsOf, unitOf } from "./statistics";

/** The controls of the grid. */
export function Controls({ store }: { store: Store }) {
  const statistics = statisticsOf(groupsOf(store));
  const { sort, colour } = store.options;
  const together = store.together.value.length;
  return (
    <>
      <div class="grid-controls">
        <Choosing id="sort" label="Sort by" none="layer" of={sort} names={statistics} />
        <Choosing id="colour" label="Colour by" none="nothing" of={colour} names={statistics} />
        <Switch
          id="several"
          label="several"
          hint="A click adds a head to those that are drawn together, as shift and a click do."
          of={several}
        />
        {together > 0 && (
          <button
            type="button"
            id="alone"
            title="Draw only the chosen head"
            onClick={() => {
              store.together.value = [];
            }}
          >
            clear {together}
          </button>
        )}
      </div>
      {statistics.includes(colour.value) && <Legend store={store} />}
      <Kinds store={store} />
    </>
  );
}

/** A choice among statistics. */
function Choosing(given: { id: string; label: string; none: string; of: Signal<string>; names: string[] }) {
  const { id, label, none, of, names } = given;
  return (
    <label>
      {label}{" "}
      <select
        id={id}
        value={names.includes(of.value) ? of.value : ""}
        onChange={(event) => {
          of.value = event.currentTarget.value;
        }}
      >
        <option value="">{none}</option>
        {names.map((name) => (
          <option value={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}

const STEPS = 128;

/** What the colours of the statistic mean. */
function Legend({ store }: { store: Store }) {
  const name = store.options.colour.value;
  const { largest } = statisticShading(store);
  return (
    <p id="colour-legend" class="soft">
      <span>{name}</span>
      <span>0</span>
      <span class="ramp">
        <Drawn
          label=""
          aria-hidden
          height={() => 10}
          draw={(pen) => {
            const shades = statisticShading(store);
            const ramp = Array.from({ length: STEPS }, (_, step) => (shades.largest * step) / (STEPS - 1));
            pen.image(painted(ramp, 1, STEPS, shades), 0, 0, pen.width, pen.height);
          }}
        />
      </span>
      <span>{`${plain(largest)} ${unitOf(groupsOf(store), name)}`.trim()}</span>
    </p>
  );
}

/** The kinds of heads with their counts; a click lets the heads of other kinds fade. */
function Kinds({ store }: { store: Store }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would bring looks of its own
    <div id="kinds" role="group" aria-label="Kinds of heads">
      {kindsOf(groupsOf(store)).map(([name, counts]) => (
        <button
          type="button"
          key={name}
          data-kind={name}
          title={
            counts.length > 1 ? counts.map((count, place) => `${count} in ${"AB"[place]}`).join(", ") : undefined
          }
          aria-pressed={kind.value === name}
          onClick={() => {
            kind.value = kind.value === name ? "" : name;
          }}
        >
          {name} <span class="soft">{counts.join(" · ")}</span>
        </button>
      ))}
    </div>
  );
}
