/**
 * What Python hands to the page: an index in JSON, and arrays beside it.
 *
 * The page holds one `<script type="application/json" id="index">` with a `Content`, and for each array a
 * `<script type="application/octet-stream" id="array-N">` with base64 of the zlib-compressed bytes, numbers in
 * little-endian order. Nothing in these elements runs. Python's side of this is `regard/reports/page/`.
 */

/** The number N of an array's element. */
export type Ref = number;

/** Everything the page shows: one run, or two that are compared. */
export interface Content {
  version: 1;
  runs: Run[];
}

/** One run of one model. */
export interface Run {
  title: string;
  /** The view that the page opens on, by its name in the address; null: the first one. Of two runs the first says it. */
  view: string | null;
  /** Short statements below the title. */
  facts: string[];
  /** The coverage receipt, line by line. */
  coverage: string[];
  /** What a check of faithfulness found. */
  check: Check | null;
  axes: Axis[];
  groups: Group[];
}

/** The positions along one side of a map. */
export interface Axis {
  /** How many positions (tokens, patches, frames, residues) there are. */
  tokens: number;
  /** Strings: labels of the words, joined by "\0" in UTF-8. */
  words: Ref;
  /** How many words there are. */
  count: number;
  /** Uint32: the number of each token's word, non-decreasing; null: every token is a word. */
  wordOf: Ref | null;
  /** Strings: labels of the tokens; null: those of the words. */
  pieces: Ref | null;
  /** Numbers of words that a tokenizer added. */
  special: number[];
  /** Positions of tokens that separate or end texts. */
  separators: number[];
  /** Stretches of positions that are no text. */
  segments: Segment[];
}

export type Segment = ImageSegment | SoundSegment | ResidueSegment;

/** Positions from `start` up to `stop`, row by row over an image. */
export interface ImageSegment {
  kind: "image";
  start: number;
  stop: number;
  rows: number;
  columns: number;
  /** A PNG or JPEG file; null: no picture was handed in. */
  picture: Ref | null;
  type: "image/png" | "image/jpeg";
}

/** Positions from `start` up to `stop`, one after another in time. */
export interface SoundSegment {
  kind: "sound";
  start: number;
  stop: number;
  /** The time from the beginning of the first position to the end of the last. */
  seconds: number;
  /** Uint8 (bins, frames), lowest frequency first; null: none was handed in. */
  spectrogram: Ref | null;
  bins: number;
  frames: number;
  /** The highest frequency of the spectrogram; null: not told. */
  hertz: number | null;
}

/** Positions from `start` up to `stop`, one a residue of a chain. */
export interface ResidueSegment {
  kind: "residues";
  start: number;
  stop: number;
  /** The number that the first residue has in its chain. */
  first: number;
  chain: string;
  /** Uint8 (residues, residues), 1 where two touch; null: not told. */
  contacts: Ref | null;
}

/** All layers of one sort of attention between the same axes. */
export interface Group {
  name: string;
  kind: "self" | "cross";
  /** Index into the run's axes. */
  queries: number;
  keys: number;
  layers: Layer[];
  /** The number of the first of `layers` among the model's. */
  firstLayer: number;
  /** What the only head of each layer is called where it is none of the model's, as `name` says, too; null elsewhere. */
  headName: string | null;
  /** Layer and head to show first, counted from 0 within the group. */
  shown: [number, number];
  /** Names of what every head's `facts` hold, in the order in which they are offered; each from 0 to 1 unless
   * `units` says otherwise. */
  facts: string[];
  units: Record<string, string>;
  /** Uint8 codes (heads of all layers one after another, side, side) of the largest weights. */
  thumbnails: Ref;
  /** Rows and columns of a thumbnail. */
  thumbnail: [number, number];
}

/** One attention call. */
export interface Layer {
  /** The site's name. */
  name: string;
  heads: Head[];
  /** Uint16 (heads, points): mean entropy of the queries of a point, `entropyScale` nats a unit. */
  entropy: Ref;
  entropyScale: number;
  /** Uint16 (heads, points): weight that the keys of a point receive together, `receivedScale` a unit. */
  received: Ref;
  receivedScale: number;
  /** How many queries, and keys, a point stands for; the last may stand for fewer. */
  queriesAPoint: number;
  keysAPoint: number;
}

/** One head. */
export interface Head {
  kind: string;
  /** A number for each of the group's `facts`; null where it was not measured. */
  facts: (number | null)[];
  /** Every weight, or the matrix in cells. */
  map: Full | Cells;
  /** The strongest single weights, where the map is in cells. */
  links: Links | null;
  /** Rows of chosen queries, every weight, where the map is in cells. */
  rows: Rows | null;
}

/**
 * Every weight of some queries on all keys.
 *
 * A weight w stands as the integer 65535 sqrt(w), rounded: its upper byte in `high`, a byte for each weight, row by
 * row; its lower byte in `low`, one after another, only for weights whose upper byte is at least `fine`. The others
 * are read as if their lower byte was 128, or as 0 where the upper byte is 0 too.
 */
export interface Full {
  form: "full";
  rows: number;
  columns: number;
  high: Ref;
  low: Ref;
  fine: number;
}

/**
 * The matrix in cells of neighbouring queries and keys; the last row and column of cells may span fewer.
 *
 * `mean`: Uint8 codes, the weight on the cell's keys together, averaged over its queries. `max`: Uint8 codes, the
 * largest single weight of the cell. A code c stands for the weight (c / 255)².
 */
export interface Cells {
  form: "cells";
  rows: number;
  columns: number;
  queriesACell: number;
  keysACell: number;
  mean: Ref;
  max: Ref;
}

/** Single weights, strongest first: Uint32 queries, Uint32 keys, Uint16 weights as 65535 sqrt(w). */
export interface Links {
  count: number;
  queries: Ref;
  keys: Ref;
  weights: Ref;
}

/** Exact rows of chosen queries. */
export interface Rows {
  queries: number[];
  weights: Full;
}

/** A check of faithfulness: what removing words in an order does to an answer. */
export interface Check {
  /** What was found, in sentences. */
  says: string[];
  /** The answer in words. */
  about: string;
  /** What is removed, such as "words". */
  what: string;
  /** Share removed or inserted, along the curves. */
  shares: number[];
  /** Answers for each explanation, the most important first. */
  deletion: Record<string, number[]>;
  insertion: Record<string, number[]>;
}
