/** Cells of tokens as a matrix of units: where words are larger than cells, cells that begin in one word join. */

import type { Positions, Unit } from "./positions";
import type { Grid, Sides } from "./reading";

/** A matrix in cells of neighbouring tokens. */
export interface Coarse {
  rows: number;
  columns: number;
  queriesACell: number;
  keysACell: number;
  mean: Float32Array;
  max: Float32Array;
}

/** The matrix with edges in units. */
export function coarser({ queries, keys, unit }: Sides, known: Coarse): Grid {
  const down = joined(queries, unit, known.rows, known.queriesACell);
  const across = joined(keys, unit, known.columns, known.keysACell);
  const grid = { rows: down.count, columns: across.count, rowEdges: down.edges, columnEdges: across.edges };
  if (down.count === known.rows && across.count === known.columns)
    return { ...grid, mean: known.mean, max: known.max };
  const mean = new Float32Array(grid.rows * grid.columns);
  const max = new Float32Array(grid.rows * grid.columns);
  for (let row = 0; row < known.rows; row++)
    for (let column = 0; column < known.columns; column++) {
      const from = row * known.columns + column;
      const to = down.of[row]! * grid.columns + across.of[column]!;
      mean[to]! += known.mean[from]! * down.shares[row]!;
      max[to] = Math.max(max[to]!, known.max[from]!);
    }
  return { ...grid, mean, max };
}

/** For each cell of tokens, the cell of units that it joins and its share of that one's tokens. */
function joined(positions: Positions, unit: Unit, cells: number, size: number) {
  const first = (cell: number) => (cell === 0 ? 0 : positions.unitOf(unit, cell * size));
  const edges: number[] = [];
  const of = Uint32Array.from({ length: cells }, (_, cell) => {
    if (edges.at(-1) !== first(cell)) edges.push(first(cell));
    return edges.length - 1;
  });
  const tokens = (cell: number) => Math.min(size, positions.tokens - cell * size);
  const sizes = new Float64Array(edges.length);
  for (let cell = 0; cell < cells; cell++) sizes[of[cell]!]! += tokens(cell);
  const shares = Float64Array.from(of, (joins, cell) => tokens(cell) / sizes[joins]!);
  return { count: edges.length, edges: Uint32Array.from([...edges, positions.count(unit)]), of, shares };
}
