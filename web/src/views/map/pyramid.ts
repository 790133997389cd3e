/** A matrix in ever larger cells, so that nothing small is lost where it is drawn small. */

import { largestSize } from "../../content/numbers";
import type { Grid } from "../../content/reading";
import type { Pooling } from "../../state/store";

/** A matrix in cells of one size; an edge is the first unit of a row or column, with the count of units at the end. */
export interface Level {
  rows: number;
  columns: number;
  rowEdges: Uint32Array;
  columnEdges: Uint32Array;
  /** Row by row. */
  values: Float32Array;
  /** The largest value, by size without sign. */
  largest: number;
}

/** The levels above a grid, each made when it is first asked for. */
export class Pyramid {
  private readonly levels = new Map<string, Level>();

  /** @param pooling what a larger cell holds: "mean", the weight on its keys together, averaged over its queries. */
  constructor(
    grid: Grid,
    private readonly pooling: Pooling,
  ) {
    this.levels.set("0 0", { ...grid, values: grid[pooling], largest: largestSize(grid[pooling]) });
  }

  /** The level at which two neighbouring rows, and columns, were joined so many times. */
  level(rowsJoined: number, columnsJoined: number): Level {
    const name = `${rowsJoined} ${columnsJoined}`;
    const made =
      this.levels.get(name) ??
      (rowsJoined > 0
        ? joinedRows(this.level(rowsJoined - 1, columnsJoined), this.pooling)
        : joinedColumns(this.level(0, columnsJoined - 1), this.pooling));
    this.levels.set(name, made);
    return made;
  }
}

/** How often neighbours are joined until each of the cells that are left takes a pixel or more. */
export const joins = (cells: number, pixels: number): number =>
  Math.max(0, Math.ceil(Math.log2(cells / Math.max(1, pixels))));

function joinedRows(level: Level, pooling: Pooling): Level {
  const { columns, values, rowEdges } = level;
  const rows = Math.ceil(level.rows / 2);
  const made = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const upper = 2 * row;
    const lower = Math.min(upper + 1, level.rows - 1);
    const share = shareOfUpper(rowEdges, upper, lower);
    for (let column = 0; column < columns; column++) {
      const a = values[upper * columns + column]!;
      const b = values[lower * columns + column]!;
      made[row * columns + column] = pooling === "mean" ? share * a + (1 - share) * b : farther(a, b);
    }
  }
  return { ...level, rows, rowEdges: everySecond(rowEdges), values: made, largest: largestSize(made) };
}

function joinedColumns(level: Level, pooling: Pooling): Level {
  const { rows, values } = level;
  const columns = Math.ceil(level.columns / 2);
  const made = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const start = row * level.columns;
    for (let column = 0; column < columns; column++) {
      const a = values[start + 2 * column]!;
      const b = 2 * column + 1 < level.columns ? values[start + 2 * column + 1]! : 0;
      made[row * columns + column] = pooling === "mean" ? a + b : farther(a, b);
    }
  }
  return {
    ...level,
    columns,
    columnEdges: everySecond(level.columnEdges),
    values: made,
    largest: largestSize(made),
  };
}

const farther = (a: number, b: number) => (Math.abs(b) > Math.abs(a) ? b : a);

function shareOfUpper(edges: Uint32Array, upper: number, lower: number): number {
  const all = edges[lower + 1]! - edges[upper]!;
  return all === 0 ? 0.5 : (edges[upper + 1]! - edges[upper]!) / all;
}

const everySecond = (edges: Uint32Array) =>
  Uint32Array.from(
    { length: Math.ceil((edges.length - 1) / 2) + 1 },
    (_, place) => edges[Math.min(2 * place, edges.length - 1)]!,
  );
