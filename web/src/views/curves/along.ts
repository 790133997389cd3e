/** What a head does along the text: the entropy of queries and the weight that keys receive, a number a unit. */

import { shorts } from "../../content/arrays";
import { arriving } from "../../content/arriving";
import type { Positions, Unit } from "../../content/positions";
import type { Choice, Report } from "../../content/report";

const codes = arriving(shorts);

/** A number of neighbouring units. */
export interface Stretch {
  from: number;
  to: number;
  value: number;
}

/** One of the two statistics. */
export type Statistic = "entropy" | "received";

/** The positions that a statistic runs along. */
export const positionsOf = (report: Report, statistic: Statistic, head: Choice): Positions =>
  statistic === "entropy" ? report.queries(head) : report.keys(head);

/** A statistic of a head along the text, in units; null while it is read. */
export function along(report: Report, statistic: Statistic, head: Choice, unit: Unit): Stretch[] | null {
  const layer = report.layer(head);
  const given = codes(layer[statistic]).value;
  if (given === null) return null;
  const positions = positionsOf(report, statistic, head);
  const step = statistic === "entropy" ? layer.queriesAPoint : layer.keysAPoint;
  const scale = statistic === "entropy" ? layer.entropyScale : layer.receivedScale;
  const points = Math.ceil(positions.tokens / step);
  const values = Array.from(given.subarray(head.head * points, (head.head + 1) * points), (code) => code * scale);
  return step === 1
    ? byUnit(values, positions, unit, statistic)
    : byPoint(values, positions, unit, statistic, step);
}

/** Of words: the mean entropy of their tokens, and what these receive together. */
function byUnit(values: number[], positions: Positions, unit: Unit, statistic: Statistic): Stretch[] {
  return Array.from({ length: positions.count(unit) }, (_, index) => {
    const { from, to } = positions.tokensOf(unit, index);
    const sum = values.slice(from, to).reduce((total, value) => total + value, 0);
    return { from: index, to: index + 1, value: statistic === "entropy" ? sum / Math.max(1, to - from) : sum };
  });
}

/** Of points that stand for several tokens: what is told of one of these. */
function byPoint(
  values: number[],
  positions: Positions,
  unit: Unit,
  statistic: Statistic,
  step: number,
): Stretch[] {
  return values.map((value, point) => {
    const tokens = { from: point * step, to: Math.min((point + 1) * step, positions.tokens) };
    const { from, to } = positions.unitsOf(unit, tokens);
    return { from, to, value: statistic === "entropy" ? value : value / (tokens.to - tokens.from) };
  });
}

/** The stretch that holds a unit. */
export const stretchAt = (stretches: readonly Stretch[], unit: number): Stretch | undefined =>
  stretches.find(({ from, to }) => from <= unit && unit < to);
