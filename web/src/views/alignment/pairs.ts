/** Which words of two texts belong together by their weights: a hard alignment. */

import type { Reading } from "../../content/reading";
import type { Pair, Text } from "./texts";

/** Two units that belong together. */
export interface Aligned {
  target: number;
  source: number;
}

/** Each target word with its strongest source word, or all that weigh enough. */
export type Rule = "strongest" | "enough";

/** The units of a text that no tokenizer added. */
export function wordsOf({ positions, unit, units }: Text): number[] {
  const indices = Array.from({ length: units.to - units.from }, (_, place) => units.from + place);
  return indices.filter((index) => !positions.isSpecial(unit, index));
}

/** The hard alignment, target by target; without words that a tokenizer added. */
export function aligned(reading: Reading, { target, source }: Pair, rule: Rule, least: number): Aligned[] {
  const sources = wordsOf(source);
  return wordsOf(target).flatMap((index) => {
    const { values } = reading.row({ from: index, to: index + 1 });
    const found =
      rule === "strongest" ? strongest(values, sources) : sources.filter((key) => values[key]! >= least);
    return found.map((key) => ({ target: index, source: key }));
  });
}

function strongest(values: Float32Array, among: readonly number[]): number[] {
  let best = -1;
  for (const index of among) if (values[index]! > (best < 0 ? 0 : values[best]!)) best = index;
  return best < 0 ? [] : [best];
}

/** Pairs as aligners write them (Pharaoh's format): source-target, counted from 0 in words that no tokenizer added. */
export function pharaoh(pairs: readonly Aligned[], { target, source }: Pair): string {
  const number = (text: Text) => new Map(wordsOf(text).map((index, place) => [index, place]));
  const [targets, sources] = [number(target), number(source)];
  return pairs
    .map((pair) => [sources.get(pair.source)!, targets.get(pair.target)!] as const)
    .sort(([a, b], [c, d]) => a - c || b - d)
    .map(([from, to]) => `${from}-${to}`)
    .join(" ");
}
