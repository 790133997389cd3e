/** Which weights a view of pictures, sounds or residues shows: those of whom is selected, else the average. */

import { type ReadonlySignal, useComputed } from "@preact/signals";
import { largestSize } from "../../content/numbers";
import type { Positions, Range, Unit } from "../../content/positions";
import type { Reading } from "../../content/reading";
import type { Segment } from "../../content/schema";
import type { Shading } from "../../drawing/colors";
import { shadingHere } from "../../drawing/washing";
import { reachOf } from "../../state/linked";
import { only } from "../../state/sides";
import type { Pane, Selection, Store } from "../../state/store";

/** Which side of the map positions stand on; in self-attention the same ones stand on both. */
export type Side = "both" | "queries" | "keys";

/** Weights on the units of one side. */
export interface Shown {
  side: "queries" | "keys";
  values: Float32Array;
  exact: boolean;
  /** Whose weights these are, in tokens of the other side; null: the average over all queries. */
  of: Range | null;
}

/** Positions with the side on which they stand. */
export interface Placed {
  side: Side;
  positions: Positions;
}

/** A segment of a kind, with the positions among which it stands. */
export type PlacedSegment<K extends Segment["kind"]> = Placed & { segment: Extract<Segment, { kind: K }> };

/** The positions that a pane has, once each. */
export function sidesOf(pane: Pane): readonly Placed[] {
  const [queries, keys] = [pane.queries.value, pane.keys.value];
  if (pane.group.value.kind === "self") return [{ side: "both", positions: keys }];
  return [
    { side: "queries", positions: queries },
    { side: "keys", positions: keys },
  ];
}

/** All segments of a kind, in order, queries first. */
export function segmentsOf<K extends Segment["kind"]>(pane: Pane, kind: K): readonly PlacedSegment<K>[] {
  return sidesOf(pane).flatMap(({ side, positions }) =>
    positions.segmentsOf(kind).map((segment) => ({ side, positions, segment })),
  );
}

/** What pointing at tokens of a side selects. */
export function selecting(store: Store, side: Side, tokens: Range): Selection {
  const asQuery = side === "both" ? store.options.direction.value === "attends to" : side === "queries";
  return only({ side: asQuery ? "queries" : "keys", tokens });
}

/** The tokens of a side that are selected. */
export function selectedOn(store: Store, side: Side): readonly Range[] {
  const selection = store.selection.value;
  const both = [side === "keys" ? null : selection?.queries, side === "queries" ? null : selection?.keys];
  return both.filter((range) => range !== null && range !== undefined);
}

/** The weights to show. */
export function shownOf(store: Store, pane: Pane): Shown | null {
  const [reading, selection] = [pane.reading.value, store.selection.value];
  if (reading === null) return null;
  const unit = store.options.unit.value;
  const { queries, keys } = selection ?? { queries: null, keys: null };
  if (keys && (!queries || store.options.direction.value === "attended by")) {
    return { side: "queries", ...reading.column(pane.keys.value.unitsOf(unit, keys)), of: keys };
  }
  if (!queries) return averageOf(reading);
  return { side: "keys", ...reading.row(pane.queries.value.unitsOf(unit, queries)), of: queries };
}

const averages = new WeakMap<Reading, Shown>();

/** The average over all queries, which is not made again each time that nothing is selected. */
function averageOf(reading: Reading): Shown {
  const known = averages.get(reading) ?? {
    side: "keys",
    ...reading.row({ from: 0, to: reading.queries }),
    of: null,
  };
  averages.set(reading, known);
  return known;
}

/** The weights to show, kept until they change. */
export const useShown = (store: Store, pane: Pane): ReadonlySignal<Shown | null> =>
  useComputed(() => shownOf(store, pane));

/** The weights on each position of a segment; null where the other side's are shown. */
export function valuesOn({ side, positions, segment }: PlacedSegment<Segment["kind"]>, unit: Unit, shown: Shown) {
  if (side !== "both" && side !== shown.side) return null;
  return Float32Array.from(
    { length: segment.stop - segment.start },
    (_, place) => shown.values[positions.unitOf(unit, segment.start + place)]!,
  );
}

/**
 * The colours of what is shown.
 *
 * Up to the largest, they are made for the segments: a single strong word does not darken a whole picture, unless it
 * takes more than ten times as much as any part of it.
 */
export function shadesOf(
  store: Store,
  pane: Pane,
  shown: Shown,
  segments: readonly PlacedSegment<Segment["kind"]>[],
): Shading {
  const { palette, scale, unit } = store.options;
  const kind = segments[0]?.segment.kind;
  const largest = reachOf(store, (own, other) => {
    if (other === pane) return largestOn(shown, segments, unit.value);
    const weights = shownOf(own, other);
    return weights ? largestOn(weights, kind ? segmentsOf(other, kind) : [], unit.value) : 0;
  });
  return shadingHere(palette.value, scale.value, largest, pane.reading.value?.signed ?? false);
}

function largestOn(shown: Shown, segments: readonly PlacedSegment<Segment["kind"]>[], unit: Unit): number {
  const parts = segments.map((each) => valuesOn(each, unit, shown)).filter((values) => values !== null);
  const overall = largestSize(shown.values);
  return parts.length === 0 ? overall : Math.max(overall / 10, ...parts.map(largestSize));
}
