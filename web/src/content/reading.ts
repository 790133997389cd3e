/** What every view reads: the weights of a head in the reader's units, whether all of them are known or only cells. */

import type { Positions, Range, Unit } from "./positions";

/** Weights along one side, a number a unit. */
export interface Line {
  values: Float32Array;
  /** Whether the numbers are the weights themselves, not those of cells of neighbours shared out evenly. */
  exact: boolean;
}

/** What is known of the weights between two ranges of units. */
export interface Spot {
  /** The weight on the keys together, averaged over the queries. */
  mean: number;
  /** The largest single weight. */
  max: number;
  exact: boolean;
}

/** A matrix in cells; an edge is the first unit of a row or column, with the count of units at the end. */
export interface Grid {
  rows: number;
  columns: number;
  rowEdges: Uint32Array;
  columnEdges: Uint32Array;
  /** Row by row: the weight on the cell's keys together, averaged over its queries. */
  mean: Float32Array;
  /** Row by row: the largest single weight. */
  max: Float32Array;
}

/** A single weight. */
export interface Link {
  query: number;
  key: number;
  weight: number;
}

/** The weights of a head, or of several, between queries and keys in units. */
export interface Reading {
  /** How many units there are. */
  readonly queries: number;
  readonly keys: number;
  /** Whether every weight is known. */
  readonly exact: boolean;
  /** Whether these are differences, which may be negative. */
  readonly signed: boolean;
  /** The weight on each key, averaged over queries. */
  row(queries: Range): Line;
  /** The weight of each query on keys together. */
  column(keys: Range): Line;
  spot(queries: Range, keys: Range): Spot;
  /** The finest matrix that is known. */
  grid(): Grid;
  /** Single weights that are known beside the cells, strongest first. */
  links(): readonly Link[];
  /** Queries of which every weight is known, where not every query's is. */
  exactQueries(): readonly number[];
}

/** The two sides of a map, and the unit in which they are read. */
export interface Sides {
  queries: Positions;
  keys: Positions;
  unit: Unit;
}
