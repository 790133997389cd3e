/** What the time view shows of a pane: its sounds, the paths through them, and its other positions. */

import { type Unit, visible } from "../../content/positions";
import type { Reading } from "../../content/reading";
import type { Pane, Store } from "../../state/store";
import { outside } from "../parts/chips";
import {
  type Placed,
  type PlacedSegment,
  type Shown,
  segmentsOf,
  selectedOn,
  shadesOf,
  sidesOf,
  valuesOn,
} from "../parts/shown";
import { layoutOf } from "./layout";
import { type Moment, momentsOf, timesOf } from "./moments";
import type { PathParts } from "./path";
import type { SoundParts } from "./sound";

/** A sound with the side on which it stands. */
export type Placement = PlacedSegment<"sound">;

/** A path through a sound. */
export interface Path {
  moments: readonly Moment[];
  /** The positions that look at the sound, or that it looks at. */
  of: Placed;
}

/** The path through a sound: none through differences, which have no place. */
export function pathOf(pane: Pane, { side, positions, segment }: Placement, reading: Reading, unit: Unit): Path {
  const isKeys = side !== "queries";
  const others = isKeys ? pane.queries.value : pane.keys.value;
  const of: Placed = { side: side === "both" ? "both" : isKeys ? "queries" : "keys", positions: others };
  if (reading.signed) return { moments: [], of };
  const grid = reading.grid();
  const times = timesOf(isKeys ? grid.columnEdges : grid.rowEdges, positions, unit, segment);
  const moments = momentsOf(grid, isKeys ? "keys" : "queries", times).filter(({ from, to }) => to > from);
  return { moments, of };
}

/** What is drawn of a sound in a width. */
export function partsOf(
  store: Store,
  pane: Pane,
  placement: Placement,
  path: Path,
  shown: Shown,
  width: number,
): { sound: SoundParts; path: PathParts } {
  const { segment } = placement;
  const unit = store.options.unit.value;
  const layout = layoutOf(width, segment, path.moments.length);
  const shades = shadesOf(store, pane, shown, segmentsOf(pane, "sound"));
  const rows = path.of.side === "both" ? "queries" : path.of.side;
  return {
    sound: {
      ...{ segment, layout, shades },
      values: valuesOn(placement, unit, shown),
      marked: selectedOn(store, placement.side),
    },
    path: {
      ...{ segment, layout, shades, moments: path.moments },
      label: ({ from }) => visible(path.of.positions.label(unit, from)),
      values: shown.side === rows ? shown.values : null,
      marked: selectedOn(store, rows).map((tokens) => path.of.positions.unitsOf(unit, tokens)),
    },
  };
}

/** Positions outside of sounds, with what they are called. */
export function othersOf(store: Store, pane: Pane) {
  const titles = { both: "Beside the sound", queries: "What attends", keys: "What is attended to" };
  return sidesOf(pane)
    .map((placed) => ({
      placed,
      units: outside(placed.positions, store.options.unit.value, "sound"),
      title: titles[placed.side],
    }))
    .filter(({ units }) => units.length > 0);
}
