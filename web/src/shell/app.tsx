/** The page: title, options, the grid of heads, and the chosen view of the chosen head. */

import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { wear } from "../drawing/theme";
import type { Store } from "../state/store";
import { told } from "../state/telling";
import { grid, VIEWS } from "../views";
import { Toolbar } from "./toolbar";

/** The whole page. */
export function App({ store }: { store: Store }) {
  useSignalEffect(() => wear(store.options.theme.value));
  const run = store.report.runs[store.choice.value.run]!;
  useEffect(() => {
    document.title = store.report.runs.map(({ title }) => title).join(" · ");
  }, []);
  return (
    <>
      <header>
        <h1 id="title">{store.report.runs.map(({ title }) => title).join(" · ")}</h1>
        <div id="facts">
          {run.facts.map((fact) => (
            <p class="soft">{fact}</p>
          ))}
        </div>
      </header>
      <Toolbar store={store} />
      <div class="columns">
        <section aria-label="All heads" id="heads">
          <grid.Component store={store} pane={store.panes.value[0]!} />
        </section>
        <Shown store={store} />
      </div>
    </>
  );
}

/** The tabs of views and the panes of the one that is chosen. */
function Shown({ store }: { store: Store }) {
  const panes = store.panes.value;
  const fitting = VIEWS.filter((view) => panes.every((pane) => view.fits(store, pane)));
  const view = fitting.find(({ name }) => name === store.view.value) ?? fitting[0];
  const says = useComputed(() => store.panes.value.map((pane) => told(store, pane)).filter(Boolean));
  if (!view) return null;
  return (
    <main aria-label="The chosen head">
      <div role="tablist" aria-label="Views" id="tabs">
        {fitting.map(({ name, title, hint }) => (
          <button
            type="button"
            role="tab"
            id={`tab-${name}`}
            title={hint}
            aria-selected={name === view.name}
            aria-controls="view"
            onClick={() => {
              store.view.value = name;
            }}
          >
            {title}
          </button>
        ))}
      </div>
      <div
        id="view"
        role="tabpanel"
        aria-labelledby={`tab-${view.name}`}
        data-view={view.name}
        data-panes={panes.length}
      >
        {panes.map((pane) => (
          <section
            key={`${view.name}-${pane.id}`}
            class="pane"
            data-pane={pane.id}
            data-ready={pane.reading.value !== null}
          >
            <h2 id={`head-${pane.id}`}>{pane.title}</h2>
            <view.Component store={store} pane={pane} />
          </section>
        ))}
      </div>
      <p id="says" role="status">
        {says.value.length > 0 ? says.value.join(" · ") : "Point at a word or at the map; a click pins."}
      </p>
    </main>
  );
}
