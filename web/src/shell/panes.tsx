/** The open view of the chosen head, or of two. */

import type { Pane, Store } from "../state/store";
import type { View } from "../views/view";
import { fitting, opened } from "./fitting";
import { Tabs } from "./tabs";

/** The tabs, and the panes of the view that is open, each with the store as it reads it. */
export function Panes({ stores }: { stores: readonly Store[] }) {
  const store = stores[0]!;
  const views = fitting(store);
  const view = opened(store, views);
  const panes = store.panes.value;
  if (!view) return <main aria-label="The chosen head">No view fits this head.</main>;
  return (
    <main aria-label="The chosen head">
      <Tabs store={store} views={views} opened={view} />
      <div
        id="view"
        role="tabpanel"
        aria-labelledby={`tab-${view.name}`}
        data-view={view.name}
        data-panes={panes.length}
      >
        {panes.map((pane, place) => (
          <InPane
            key={`${view.name}-${pane.id}-${store.compared.value}`}
            store={stores[place]!}
            pane={pane}
            view={view}
          />
        ))}
      </div>
    </main>
  );
}

/** One pane. */
function InPane({ store, pane, view }: { store: Store; pane: Pane; view: View }) {
  const isWaiting = pane.waiting.value;
  const why = pane.wrong.value || (pane.reading.value === null ? "Reading the head …" : nothing(pane, view));
  return (
    <section
      class="pane"
      data-pane={pane.id}
      data-ready={pane.reading.value !== null && !isWaiting}
      aria-busy={isWaiting}
      aria-labelledby={`head-${pane.id}`}
    >
      <h2 id={`head-${pane.id}`} title={pane.title.value}>
        {pane.title}
      </h2>
      {why ? (
        <p class={pane.wrong.value ? "wrong" : "soft late"}>{why}</p>
      ) : (
        <view.Component store={store} pane={pane} />
      )}
    </section>
  );
}

/** Why there is nothing to draw, "" where there is something. */
function nothing(pane: Pane, view: View): string {
  if (view.name === "receipt") return "";
  if (pane.queries.value.tokens === 0) return "There is nothing to draw: this text has no words.";
  return pane.keys.value.tokens === 0 ? "There is nothing to draw: there are no words to attend to." : "";
}
