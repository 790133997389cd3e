/** Where heads stand: a row for each layer, or one list that flows. */

import { type Place, samePlace } from "./statistics";

const SMALLEST = 28;
const LARGEST = 64;
/** What surrounds a thumbnail on each side, and what parts one head from the next. */
export const MARGIN = 3;
const GAP = 2;
const GUTTER = 24;
const TOP = 18;
/** How high the words below a thumbnail are. */
const ONE_LINE = 12;
const TWO_LINES = 24;

/** A head and its upper left corner. */
export interface Cell extends Place {
  x: number;
  y: number;
}

/** Where all heads of a group stand. */
export interface Layout {
  cells: readonly Cell[];
  /** How many heads stand in a row at most. */
  columns: number;
  /** The side of a thumbnail. */
  side: number;
  /** The size of a head with its margin and its words. */
  width: number;
  height: number;
  /** From one head to the next. */
  across: number;
  down: number;
  /** What numbers of layers and heads take on the left and on top; 0 where there are none. */
  gutter: number;
  top: number;
  /** The size of it all. */
  fullWidth: number;
  fullHeight: number;
}

/** Lays heads out; `flowing` ones stand one after another, others in a row for each layer. */
export function layoutOf(places: readonly Place[], flowing: boolean, room: number): Layout {
  const heads = places.reduce((most, { head }) => Math.max(most, head + 1), 1);
  const gutter = flowing ? 0 : GUTTER;
  const top = flowing ? 0 : TOP;
  const around = 2 * MARGIN + GAP;
  const side = Math.max(SMALLEST, Math.min(LARGEST, Math.floor((room - GUTTER) / heads) - around));
  const [across, down] = [side + around, side + around + (flowing ? TWO_LINES : ONE_LINE)];
  const columns = flowing ? Math.max(1, Math.floor((room + GAP) / across)) : heads;
  const cells = places.map((place, number) => ({
    ...place,
    x: gutter + across * (flowing ? number % columns : place.head),
    y: top + down * (flowing ? Math.floor(number / columns) : place.layer),
  }));
  const last = cells.reduce((lowest, { y }) => Math.max(lowest, y), top);
  return {
    ...{ cells, columns, side, across, down, gutter, top },
    width: across - GAP,
    height: down - GAP,
    fullWidth: gutter + columns * across - GAP,
    fullHeight: last + down - GAP,
  };
}

/** The head that an arrow key leads to from another one; null where there is none. */
export function neighbour(layout: Layout, from: Place, key: string): Place | null {
  const { cells } = layout;
  const number = cells.findIndex((cell) => samePlace(cell, from));
  const cell = cells[number];
  if (!cell) return null;
  if (key === "Home") return cells[0] ?? null;
  if (key === "End") return cells.at(-1) ?? null;
  if (key === "ArrowLeft") return cells[number - 1] ?? null;
  if (key === "ArrowRight") return cells[number + 1] ?? null;
  const step = key === "ArrowDown" ? layout.down : key === "ArrowUp" ? -layout.down : 0;
  if (step === 0) return null;
  const inRow = cells.filter(({ y }) => y === cell.y + step);
  return inRow.findLast(({ x }) => x <= cell.x) ?? null;
}
