/** The weights that are shown, as a table that other programs read. */

import type { Positions, Unit } from "../content/positions";
import type { Reading } from "../content/reading";
import type { Pooling } from "../state/store";

/** A head with the words that its weights are between. */
export interface Tabled {
  /** The head in words. */
  head: string;
  reading: Reading;
  queries: Positions;
  keys: Positions;
}

/** How weights are shown. */
export interface Shown {
  unit: Unit;
  pooling: Pooling;
  /** Whether sinks take no weight. */
  hide: boolean;
}

/**
 * Comma-separated values (RFC 4180): a row a query, a column a key, with their words.
 *
 * Where there are several heads, the first column names them; one whose keys are not those of the head before has a header
 * of its own.
 */
export function tableOf(heads: readonly Tabled[], shown: Shown): string {
  const lines: string[] = [];
  let header = "";
  for (const tabled of heads) {
    const first = heads.length > 1 ? [tabled.head] : [];
    const own = [...first.map(() => "head"), "query", ...keysOf(tabled, shown)].map(cell).join(",");
    if (own !== header) lines.push(own);
    header = own;
    for (const row of rowsOf(tabled, shown)) lines.push([...first.map(cell), ...row].join(","));
  }
  return [...lines, ""].join("\r\n");
}

/** The names of columns, which say where weights are hidden. */
function keysOf({ reading, keys }: Tabled, { unit, hide }: Shown): string[] {
  const { columnEdges } = reading.grid();
  const sinks = keys.sinks(unit);
  return names(keys, unit, columnEdges).map((name, column) => {
    const isHidden =
      hide && sinks.subarray(columnEdges[column], columnEdges[column + 1]).some((each) => each !== 0);
    return isHidden ? `${name} (hidden)` : name;
  });
}

function rowsOf({ reading, queries }: Tabled, { unit, pooling }: Shown): string[][] {
  const { columns, rowEdges, [pooling]: values } = reading.grid();
  return names(queries, unit, rowEdges).map((name, row) => {
    const weights = values.subarray(row * columns, (row + 1) * columns);
    return [cell(name), ...Array.from(weights, (weight) => String(Number(weight.toPrecision(6))))];
  });
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
