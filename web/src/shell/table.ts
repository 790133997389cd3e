/** The weights that are shown, as a table that other programs read. */

import type { Positions, Unit } from "../content/positions";
import type { Reading } from "../content/reading";
import type { Pooling } from "../state/store";

/** Comma-separated values (RFC 4180): a row a query, a column a key, with their words. */
export function tableOf(
  reading: Reading,
  queries: Positions,
  keys: Positions,
  unit: Unit,
  pooling: Pooling,
): string {
  const grid = reading.grid();
  const values = grid[pooling];
  const header = ["query", ...names(keys, unit, grid.columnEdges)].map(cell).join(",");
  const rows = names(queries, unit, grid.rowEdges).map((name, row) => {
    const weights = values.subarray(row * grid.columns, (row + 1) * grid.columns);
    return [cell(name), ...Array.from(weights, (weight) => String(Number(weight.toPrecision(6))))].join(",");
  });
  return [header, ...rows, ""].join("\r\n");
}

/** What stands in each stretch between edges. */
const names = (positions: Positions, unit: Unit, edges: Uint32Array) =>
  Array.from(edges.subarray(0, -1), (from, place) => {
    const to = edges[place + 1]!;
    const first = positions.label(unit, from);
    return to - from > 1 ? `${first} … ${positions.label(unit, to - 1)}` : first;
  });

/** A text in a cell; spreadsheets would run one like "=1+1", so that it is told to be text. */
function cell(text: string): string {
  const safe = /^[=+\-@\t\r]./s.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
