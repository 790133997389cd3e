/** What the words are shaded by. */

import { computed, type ReadonlySignal } from "@preact/signals";
import { largestSize } from "../../content/numbers";
import type { Positions, Range, Unit } from "../../content/positions";
import type { Line } from "../../content/reading";
import type { Shading } from "../../drawing/colors";
import { washing } from "../../drawing/washing";
import { ofAllPanes, reachOf } from "../../state/linked";
import { across, type Place, type Side } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import { chosenOf, directionOf, isSamePlace, metOf } from "./choosing";

/** Weights on the words of one side. */
export interface Shade {
  side: Side;
  /** The words whose weights these are; null: those of all queries, averaged. */
  chosen: Place | null;
  line: Line;
  shades: Shading;
}

/** What a text shows now. */
export interface Shown {
  shade: ReadonlySignal<Shade | null>;
  /** The words on the other side of a selected weight. */
  met: ReadonlySignal<Place | null>;
}

/** The weights that a pane shows. */
interface Weights {
  chosen: ReadonlySignal<Place | null>;
  line: ReadonlySignal<Line | undefined>;
}

const followed = new WeakMap<Pane, Weights>();

/** The weights of a pane, followed once. */
function weightsIn(store: Store, pane: Pane): Weights {
  const known = followed.get(pane);
  if (known) return known;
  const direction = computed(() => directionOf(store.pinned.value, store.options.direction.value));
  const chosen = settled(() => within(pane, chosenOf(store.selection.value, direction.value)));
  const received = computed(() => {
    const reading = pane.reading.value;
    return reading?.row({ from: 0, to: reading.queries });
  });
  const line = computed(() => {
    const [place, reading] = [chosen.value, pane.reading.value];
    if (!place || !reading) return received.value;
    const units = pane[place.side].value.unitsOf(store.options.unit.value, place.tokens);
    return place.side === "queries" ? reading.row(units) : reading.column(units);
  });
  const made = { chosen, line };
  followed.set(pane, made);
  return made;
}

const NONE = new Float32Array();
const largestIn = (store: Store, pane: Pane) => largestSize(weightsIn(store, pane).line.value?.values ?? NONE);

/** Follows what the text of a pane shows. */
export function shownIn(store: Store, pane: Pane): Shown {
  const { chosen, line } = weightsIn(store, pane);
  const met = settled(() => within(pane, metOf(store.selection.value, chosen.value)));
  const shade = computed((): Shade | null => {
    const [weights, reading, place] = [line.value, pane.reading.value, chosen.value];
    if (!weights || !reading) return null;
    // Weight received on average is far from 1 in any text but a short one.
    const top = (place ? reachOf : ofAllPanes)(store, largestIn);
    return {
      side: place ? across(place.side) : "keys",
      chosen: place,
      line: weights,
      shades: washing(store.options.scale.value, top, reading.signed),
    };
  });
  return { shade, met };
}

/** Follows a place, and stays the same value while it is the same place. */
function settled(place: () => Place | null): ReadonlySignal<Place | null> {
  let before: Place | null = null;
  return computed(() => {
    const now = place();
    if (!isSamePlace(before, now)) before = now;
    return before;
  });
}

/** A place as far as the text of a pane reaches. */
function within(pane: Pane, place: Place | null): Place | null {
  if (!place) return null;
  const to = Math.min(place.tokens.to, pane[place.side].value.tokens);
  return place.tokens.from < to ? { side: place.side, tokens: { from: place.tokens.from, to } } : null;
}

/** The units of a place, if it lies on this side; where both are one text it does. */
export function unitsIn(
  place: Place | null,
  side: Side,
  isOne: boolean,
  positions: Positions,
  unit: Unit,
): Range | null {
  return place && (isOne || place.side === side) ? positions.unitsOf(unit, place.tokens) : null;
}

/** The weight of units together: keys add up, queries have a mean. */
export function together({ side, line: { values } }: Shade, { from, to }: Range): number {
  let sum = 0;
  for (let index = from; index < to; index++) sum += values[index] ?? 0;
  return side === "keys" ? sum : sum / Math.max(1, to - from);
}
