/** The heads of which lines are drawn: that of the pane, and those that are drawn together with it. */

import type { Reading } from "../../content/reading";
import type { Choice } from "../../content/report";
import { SERIES } from "../../drawing/colors";
import { seriesColor } from "../../drawing/series";
import type { Pane, Store } from "../../state/store";

/** A head with the colour that its lines, and its frame in the grid of heads, have. */
export interface Colored {
  choice: Choice;
  color: string;
}

/** A head with its weights. */
export interface ColoredHead extends Colored {
  reading: Reading;
}

/** How many heads have colours of their own. */
export const MOST_HEADS = SERIES.length;

/** Whether other heads can be drawn beside that of the pane. */
export const hasCompanions = (store: Store) => store.compared.value === "off";

/** The heads, that of the pane first. */
export function choicesOf(store: Store, pane: Pane): readonly Colored[] {
  const others = hasCompanions(store) ? store.companions.value : [];
  const choices = [pane.choice.value, ...others].slice(0, MOST_HEADS);
  return choices.map((choice, place) => ({ choice, color: seriesColor(place) }));
}

/** The heads with their weights, as far as they are decoded; null while the pane's own is not. */
export function headsOf(store: Store, pane: Pane): readonly ColoredHead[] | null {
  const own = pane.reading.value;
  if (own === null) return null;
  const readings = [own, ...((hasCompanions(store) && store.companionReadings.value) || [])];
  return choicesOf(store, pane).flatMap((head, place) => {
    const reading = readings[place];
    return reading ? [{ ...head, reading }] : [];
  });
}
