/** The tabs of views; arrow keys go from one to the next. */

import type { Store } from "../state/store";
import type { View } from "../views/view";

/** What the tabs take. */
interface TabsProps {
  store: Store;
  views: readonly View[];
  opened: View;
}

/** The tabs. */
export function Tabs({ store, views, opened }: TabsProps) {
  const press = (event: KeyboardEvent) => {
    const place = views.indexOf(opened);
    const goal = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
    const view = goal === undefined ? undefined : views.at(goal % views.length);
    if (!view) return;
    event.preventDefault();
    store.view.value = view.name;
    document.getElementById(`tab-${view.name}`)?.focus();
  };
  return (
    <div role="tablist" aria-label="Views" id="tabs" onKeyDown={press}>
      {views.map(({ name, title, hint }) => (
        <button
          key={name}
          type="button"
          role="tab"
          id={`tab-${name}`}
          title={hint}
          aria-selected={name === opened.name}
          aria-controls="view"
          tabIndex={name === opened.name ? 0 : -1}
          onClick={() => {
            store.view.value = name;
          }}
        >
          {title}
        </button>
      ))}
    </div>
  );
}
