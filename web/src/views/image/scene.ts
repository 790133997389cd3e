/** What the image view shows of a pane: its pictures and, beside them, its other positions. */

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
import { look, smooth } from "./options";
import type { PictureParts } from "./picture";
import { pictureOf } from "./pictures";
import { totals } from "./totals";

/** A picture with the side on which it stands. */
export type Placement = PlacedSegment<"image">;

/** Positions outside of pictures, with what they are called. */
interface Others {
  placed: Placed;
  units: readonly number[];
  title: string;
}

const TITLES = { both: "Beside the picture", queries: "What attends", keys: "What is attended to" } as const;

/** The positions outside of pictures. */
export function othersOf(store: Store, pane: Pane): readonly Others[] {
  const unit = store.options.unit.value;
  return sidesOf(pane)
    .map((placed) => ({ placed, units: outside(placed.positions, unit, "image"), title: TITLES[placed.side] }))
    .filter(({ units }) => units.length > 0);
}

/** What is drawn of a picture. */
export function partsOf(store: Store, pane: Pane, placement: Placement, shown: Shown): PictureParts {
  const { segment, side } = placement;
  return {
    segment,
    picture: pictureOf(segment),
    values: valuesOn(placement, store.options.unit.value, shown),
    shades: shadesOf(store, pane, shown, segmentsOf(pane, "image")),
    style: { look: look.value, opacity: store.options.opacity.value, smooth: smooth.value },
    marked: selectedOn(store, side),
  };
}

/** How the shown weights divide between pictures and words. */
export function said(store: Store, pane: Pane, shown: Shown): string {
  const placed = sidesOf(pane).find(({ side }) => side === "both" || side === shown.side);
  const reading = pane.reading.value;
  return placed && reading ? totals(placed, store.options.unit.value, shown, reading.signed) : "";
}
