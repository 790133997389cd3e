/** From the bytes of the page to weights: the codes of `schema.ts`, read. */

import { bytes, integers, shorts } from "./arrays";
import type { Cells, Full, Links } from "./schema";

/** Single weights, strongest first. */
export interface StrongLinks {
  queries: Uint32Array;
  keys: Uint32Array;
  weights: Float32Array;
}

/** The weights of a `Full`, row by row. */
export async function readFull(full: Full): Promise<Float32Array> {
  const [high, low] = await Promise.all([bytes(full.high), bytes(full.low)]);
  return weightsOf(high, low, full.fine);
}

const SQUARES = Float32Array.from({ length: 65536 }, (_, code) => (code / 65535) ** 2);

/** The weights of two planes of bytes. */
export function weightsOf(high: Uint8Array, low: Uint8Array, fine: number): Float32Array {
  const weights = new Float32Array(high.length);
  let next = 0;
  for (let place = 0; place < high.length; place++) {
    const upper = high[place]!;
    const lower = upper >= fine ? low[next++]! : upper === 0 ? 0 : 128;
    weights[place] = SQUARES[256 * upper + lower]!;
  }
  return weights;
}

/** The weights of single bytes, as in `Cells` and thumbnails. */
export function weightsOfBytes(codes: Uint8Array): Float32Array {
  return Float32Array.from(codes, (code) => (code / 255) ** 2);
}

/** Mean and largest weights of cells. */
export async function readCells(cells: Cells): Promise<{ mean: Float32Array; max: Float32Array }> {
  const [mean, max] = await Promise.all([bytes(cells.mean), bytes(cells.max)]);
  return { mean: weightsOfBytes(mean), max: weightsOfBytes(max) };
}

/** The strongest single weights. */
export async function readLinks(links: Links): Promise<StrongLinks> {
  const [queries, keys, codes] = await Promise.all([
    integers(links.queries),
    integers(links.keys),
    shorts(links.weights),
  ]);
  return { queries, keys, weights: Float32Array.from(codes, (code) => SQUARES[code]!) };
}
