/** The two texts of a head: target and source of a translation, or two stretches of one sequence. */

import type { Positions, Range, Unit } from "../../content/positions";

/** A text on one side of the map. */
export interface Text {
  side: "queries" | "keys";
  positions: Positions;
  unit: Unit;
  /** Its units in order. */
  units: Range;
}

/** What attends, and what is attended to. */
export interface Pair {
  target: Text;
  source: Text;
}

/** The positions of both sides, and whether they are the same text. */
export interface Sides {
  kind: "self" | "cross";
  queries: Positions;
  keys: Positions;
}

/** Stretches of tokens between those that a tokenizer added or that separate texts. */
export function stretches(positions: Positions): Range[] {
  const found: Range[] = [];
  let from = 0;
  for (let token = 0; token <= positions.tokens; token++) {
    if (token < positions.tokens && !divides(positions, token)) continue;
    if (token > from) found.push({ from, to: token });
    from = token + 1;
  }
  return found;
}

// The first position is a sink wherever it is, and divides only where a tokenizer added it.
const divides = (positions: Positions, token: number) =>
  positions.isSpecial("tokens", token) || (token > 0 && positions.isSink("tokens", token));

/** Whether there are two texts. */
export function hasPair({ kind, queries, keys }: Sides): boolean {
  if (queries.segments.length > 0 || keys.segments.length > 0) return false;
  return kind === "cross" ? queries.tokens > 0 && keys.tokens > 0 : stretches(queries).length === 2;
}

/** The two texts; of stretches, the first attends to the second unless they are swapped. */
export function pairOf({ kind, queries, keys }: Sides, unit: Unit, swapped: boolean): Pair {
  const whole = (positions: Positions) => ({ from: 0, to: positions.tokens });
  const [one, other] = kind === "cross" ? [whole(queries), whole(keys)] : stretches(queries);
  const [from, to] = kind === "self" && swapped ? [other!, one!] : [one!, other!];
  return {
    target: { side: "queries", positions: queries, unit, units: queries.unitsOf(unit, from) },
    source: { side: "keys", positions: keys, unit, units: keys.unitsOf(unit, to) },
  };
}

/** A part of a text; its beginning where it has no such part. */
export const part = (text: Text, from: number, count: number): Text => {
  const { units } = text;
  const start = units.from + from < units.to ? units.from + from : units.from;
  return { ...text, units: { from: start, to: Math.min(start + count, units.to) } };
};

const ENDS = /[.!?。！？…؟।]["'”’»)\]]*$/u;

/** The sentences of a text, in units; what a tokenizer added behind the last one is part of it. */
export function sentencesOf({ positions, unit, units }: Text): Range[] {
  const found: Range[] = [];
  let [from, end] = [units.from, units.to];
  while (end > from && positions.isSpecial(unit, end - 1)) end--;
  for (let index = units.from; index < units.to; index++)
    if (index === units.to - 1 || (index < end - 1 && ENDS.test(positions.label(unit, index)))) {
      found.push({ from, to: index + 1 });
      from = index + 1;
    }
  return found;
}

/** The sentence around a unit. */
export const sentenceAt = (text: Text, index: number): Range =>
  sentencesOf(text).find(({ from, to }) => from <= index && index < to) ?? { from: index, to: index + 1 };
