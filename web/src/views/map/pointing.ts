/** From a place on the screen to the words that stand there. */

import type { Range } from "../../content/positions";
import type { Selection } from "../../state/store";
import { dot } from "./base";
import { LABEL_HEIGHT, LEAN } from "./layout";
import type { Sight } from "./scene";
import { named, pixelOf, type Side, scaleOf, sideOf, unitAt } from "./sides";

/** What is told at a spot: two ranges of units. */
interface Spot {
  queries: Range;
  keys: Range;
}

/** What stands at a pixel: a spot among the weights, or a word along a side; null beside both. */
export function selectionAt(sight: Sight, x: number, y: number): Selection | null {
  const { layout } = sight;
  const [rows, columns] = [sideOf(sight, "queries"), sideOf(sight, "keys")];
  const inRows = y >= layout.top && y < layout.top + layout.plotHeight;
  const inColumns = x >= layout.left && x < layout.left + layout.plotWidth;
  if (inRows && inColumns) return spotAt(sight, unitAt(rows, y), unitAt(columns, x));
  if (inRows && x < layout.left) return { queries: nameAt(sight, rows, y), keys: null };
  if (y >= layout.top) return null;
  const foot = x - (layout.top - y) * LEAN;
  const isBeneath = foot >= layout.left && foot < layout.left + layout.plotWidth;
  return isBeneath ? { queries: null, keys: nameAt(sight, columns, foot) } : null;
}

/** The tokens that are named at a pixel along a side: of the nearest name, or of what stands there. */
function nameAt(sight: Sight, side: Side, pixel: number): Range {
  const distance = (unit: number) => Math.abs(pixelOf(side, unit + 0.5) - pixel);
  const near = named(side).find((unit) => distance(unit) <= Math.max(LABEL_HEIGHT, scaleOf(side)) / 2);
  return side.positions.tokensIn(sight.unit, unitIn(near ?? unitAt(side, pixel), side.count));
}

/** The tokens of the smallest thing that is drawn at a place among the weights: a single weight, or a cell. */
export function spotAt(sight: Sight, query: number, key: number): Selection {
  const { queries, keys } = linkAt(sight, query, key) ?? rowAt(sight, query, key) ?? cellAt(sight, query, key);
  return { queries: sight.queries.tokensIn(sight.unit, queries), keys: sight.keys.tokensIn(sight.unit, keys) };
}

function linkAt(sight: Sight, query: number, key: number): Spot | null {
  if (sight.exactRow(Math.floor(query))) return null;
  const [rows, columns] = [sideOf(sight, "queries"), sideOf(sight, "keys")];
  const isOn = (side: Side, unit: number, place: number) => {
    const drawn = dot(side, unit);
    const pixel = pixelOf(side, place);
    return drawn !== null && pixel >= drawn.start && pixel < drawn.start + drawn.length;
  };
  const link = sight.links.find((link) => isOn(rows, link.query, query) && isOn(columns, link.key, key));
  if (!link) return null;
  return { queries: unitIn(link.query, rows.count), keys: unitIn(link.key, columns.count) };
}

function rowAt(sight: Sight, query: number, key: number): Spot | null {
  if (!sight.exactRow(Math.floor(query))) return null;
  const columns = sideOf(sight, "keys");
  // A pixel holds several units where one is smaller than it.
  const units = Math.max(1, Math.round(1 / (scaleOf(columns) * sight.ratio)));
  const from = unitIn(key, columns.count).from;
  return {
    queries: unitIn(query, sight.reading.queries),
    keys: { from, to: Math.min(columns.count, from + units) },
  };
}

function cellAt({ level }: Sight, query: number, key: number): Spot {
  return { queries: between(level.rowEdges, query), keys: between(level.columnEdges, key) };
}

/** The cell that a place lies in. */
function between(edges: Uint32Array, place: number): Range {
  let [low, high] = [0, edges.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle]! <= place) low = middle;
    else high = middle - 1;
  }
  return { from: edges[low]!, to: edges[low + 1]! };
}

function unitIn(place: number, count: number): Range {
  const from = Math.max(0, Math.min(count - 1, Math.floor(place)));
  return { from, to: from + 1 };
}
