/** Which views make sense for what is shown, and which of them is open. */

import type { Store } from "../state/store";
import { VIEWS } from "../views";
import type { View } from "../views/view";

/** The views that can show every pane. */
export const fitting = (store: Store): readonly View[] =>
  VIEWS.filter((view) => store.panes.value.every((pane) => view.fits(store, pane)));

/** The view that is open. */
export const opened = (store: Store, views = fitting(store)): View | undefined =>
  views.find(({ name }) => name === store.view.value) ?? views[0];
