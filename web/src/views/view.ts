/** What a view is: something that can be shown, and drawn into a file. */

import type { FunctionComponent } from "preact";
import type { Drawing } from "../drawing/saving";
import type { Pane, Store } from "../state/store";

/** What every view is handed. */
export interface ViewProps {
  store: Store;
  pane: Pane;
}

/** One way to see a head. */
export interface View {
  /** Its name in the address. */
  name: string;
  /** Its name on the tab. */
  title: string;
  /** What it shows, in a sentence. */
  hint: string;
  /** Whether it makes sense for the head of this pane. */
  fits(store: Store, pane: Pane): boolean;
  Component: FunctionComponent<ViewProps>;
  /** What stands in a saved picture under the head's name; null while the weights are being decoded. */
  drawing(store: Store, pane: Pane): Drawing | null;
}
