/** The page: title, options, the grid of heads, and the open view of the chosen head. */

import { useSignalEffect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { wear } from "../drawing/theme";
import { panesOf } from "../state/linked";
import type { Store } from "../state/store";
import { grid } from "../views";
import { Actions, GridActions } from "./actions";
import { Help } from "./help";
import { listen } from "./keys";
import { Panes } from "./panes";
import { Says } from "./says";
import { Toolbar } from "./toolbar";

/** Where the grid and the view stand beside one another. */
const WIDE = window.matchMedia("(min-width: 60rem)");

/** The whole page. */
export function App({ store, link }: { store: Store; link: () => string }) {
  const help = useRef<HTMLDialogElement>(null);
  const { runs } = store.report;
  const panes = store.panes.value;
  const stores = useMemo(() => panesOf(store).map(([own]) => own), [panes]);
  const title = runs.map((run) => run.title).join(" · ");
  useSignalEffect(() => wear(store.options.theme.value));
  useEffect(() => {
    document.title = title;
    return listen(store, () => help.current?.showModal());
  }, []);
  return (
    <>
      <header>
        <h1 id="title">{title}</h1>
        <Actions store={store} link={link} help={help} />
        <div id="facts">
          {runs.map((run, place) => (
            <div key={place}>
              {runs.length > 1 && run.facts.length > 0 && <b>{run.title}: </b>}
              {run.facts.map((fact) => (
                <p key={fact} class="soft">
                  {fact}
                </p>
              ))}
            </div>
          ))}
        </div>
      </header>
      <Toolbar store={store} />
      <div class="columns">
        <details id="heads" open={WIDE.matches}>
          <summary>All heads</summary>
          <section aria-label="All heads">
            <grid.Component store={store} pane={panes[0]!} />
            <GridActions store={store} />
          </section>
        </details>
        <Panes stores={stores} />
      </div>
      <Says stores={stores} panes={panes} />
      <Help store={store} of={help} />
    </>
  );
}
