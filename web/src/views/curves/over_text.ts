/** The chosen head along the text: the entropy of each query, or the weight that each key receives. */

import { type Positions, type Range, visible } from "../../content/positions";
import type { Choice } from "../../content/report";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { seriesColor } from "../../drawing/series";
import type { Pane, Selection, Store } from "../../state/store";
import { type Asked, type Box, type Chart, canName, chartOf, heightOf, paintAxes, short } from "../parts/chart";
import { along, positionsOf, type Statistic, type Stretch, stretchAt } from "./along";
import { logarithmic } from "./state";

/** A head's numbers in their colour. */
export interface Curve {
  color: string | null;
  stretches: readonly Stretch[];
}

/** The chart of a pane. */
export interface OverText {
  statistic: Statistic;
  asked: Asked;
  chart: Chart;
  curves: readonly Curve[];
  positions: Positions;
}

const TOLD: Record<Statistic, string> = {
  entropy: "entropy of queries, nats",
  received: "weight that keys receive",
};

/** Smaller numbers are none but for rounding, and have no axis of their own. */
const ROUNDING = 1e-6;

/** The positions of the chart, and whether their names stand below it. */
function sideways(store: Store, pane: Pane, statistic: Statistic, width: number) {
  const positions = positionsOf(store.report, statistic, pane.choice.value);
  const count = positions.count(store.options.unit.value);
  return { positions, count, isNamed: canName(width, count) };
}

/** How high the chart is. */
export const textHeight = (store: Store, pane: Pane, statistic: Statistic, width: number): number =>
  heightOf(80, sideways(store, pane, statistic, width).isNamed);

/** The numbers of the heads of a pane; null while they are read. */
export function curvesOf(store: Store, pane: Pane, statistic: Statistic): Curve[] | null {
  const heads: { head: Choice; color: string | null }[] = [{ head: pane.choice.value, color: null }];
  if (store.compared.value === "difference") heads.push({ head: store.other.value, color: seriesColor(0) });
  const curves = heads.flatMap(({ head, color }) => {
    const stretches = along(store.report, statistic, head, store.options.unit.value);
    return stretches === null ? [] : [{ color, stretches: seen(store, statistic, head, stretches) }];
  });
  return curves.length < heads.length ? null : curves;
}

/** The chart of a statistic. */
export function overText(
  store: Store,
  pane: Pane,
  statistic: Statistic,
  curves: readonly Curve[],
  box: Box,
): OverText {
  const unit = store.options.unit.value;
  const { positions, count, isNamed } = sideways(store, pane, statistic, box.width);
  const most = curves.flatMap(({ stretches }) => stretches).reduce((most, { value }) => Math.max(most, value), 0);
  const asked: Asked = {
    upwards: TOLD[statistic],
    rightwards: unit === "words" && positions.hasPieces ? "word" : "position",
    from: 0,
    to: count,
    least: 0,
    most: most < ROUNDING ? 0 : most,
    logarithmic: statistic === "received" && logarithmic.value,
    ...(isNamed && {
      names: Array.from({ length: count }, (_, index) => visible(positions.label(unit, index))),
    }),
  };
  return { statistic, asked, chart: chartOf(box, asked), curves, positions };
}

/** What keys receive that are hidden is not drawn. */
function seen(store: Store, statistic: Statistic, head: Choice, stretches: Stretch[]): Stretch[] {
  if (statistic === "entropy" || !store.options.hide.value) return stretches;
  const sinks = store.report.keys(head).sinks(store.options.unit.value);
  return stretches.map((each) => (each.to === each.from + 1 && sinks[each.from] ? { ...each, value: 0 } : each));
}

/** Draws what does not change with the selection. */
export function paintOverText(pen: Pen, { asked, chart: drawn, curves }: OverText): void {
  const ink = inks();
  paintAxes(pen, drawn, asked);
  if (curves.length > 1) paintLetters(pen, drawn.inner, asked.upwards, curves);
  for (const { color, stretches } of curves) {
    const { bottom } = drawn.inner;
    const points = stretches.flatMap(({ from, to, value }): Point[] => [
      [drawn.right(from), drawn.up(value)],
      [drawn.right(to), drawn.up(value)],
    ]);
    const [first, last] = [points[0], points.at(-1)];
    if (!first || !last) continue;
    pen.area([[first[0], bottom], ...points, [last[0], bottom]], { color: color ?? ink.soft, opacity: 0.18 });
    pen.line(points, { color: color ?? ink.soft, width: 1.4 });
  }
}

/** The letters of two heads that are compared, in the colours of their curves. */
function paintLetters(pen: Pen, { left, top }: Chart["inner"], before: string, curves: readonly Curve[]): void {
  const start = left + pen.measure(before, 11) + 14;
  for (const [place, { color }] of curves.entries())
    pen.text("AB"[place] ?? "", start + 14 * place, top - 13, { size: 11, fill: color ?? inks().soft, bold: true });
}

/** Marks what is selected. */
export function paintSelection(pen: Pen, store: Store, { statistic, positions, chart: drawn }: OverText): void {
  const range = sideOf(store.selection.value, statistic);
  if (!range) return;
  const { from, to } = positions.unitsOf(store.options.unit.value, range);
  const { inner, right } = drawn;
  const [left, width] = [right(from), Math.max(2, right(to) - right(from))];
  pen.rectangle(left, inner.top, width, inner.bottom - inner.top, { color: inks().mark, opacity: 0.28 });
}

/** Says the numbers of what is selected. */
export function paintTold(pen: Pen, told: string, { chart: { inner } }: OverText): void {
  const width = 0.55 * (inner.right - inner.left);
  pen.text(told, inner.right, inner.top - 13, {
    ...{ size: 11, fill: inks().mark, bold: true, align: "right", width },
  });
}

/** The numbers of what is selected, "" where nothing is. */
export function toldOf(store: Store, pane: Pane, statistic: Statistic, curves: readonly Curve[]): string {
  const range = sideOf(store.selection.value, statistic);
  if (!range) return "";
  const positions = positionsOf(store.report, statistic, pane.choice.value);
  const unit = store.options.unit.value;
  const units = positions.unitsOf(unit, range);
  const numbers = curves.map(({ stretches }) => {
    const part = stretches.filter(({ from, to }) => from < units.to && to > units.from);
    return part.reduce((sum, { value }) => sum + value, 0) / Math.max(1, part.length);
  });
  const mean = units.to - units.from > 1 ? "mean " : curves.some(isPooled) ? "about " : "";
  return `${positions.name(unit, range)}: ${mean}${numbers.map(short).join(" and ")}`;
}

/** Whether a number stands for several positions. */
const isPooled = ({ stretches }: Curve) => stretches.some(({ from, to }) => to > from + 1);

/** What of a selection a chart marks. */
export const sideOf = (selection: Selection | null, statistic: Statistic): Range | null =>
  (statistic === "entropy" ? selection?.queries : selection?.keys) ?? null;

/** What is selected by a unit of a chart. */
export function selectionOf(store: Store, { statistic, positions, curves }: OverText, unit: number): Selection {
  const named = store.options.unit.value;
  const units = stretchAt(curves[0]?.stretches ?? [], unit) ?? { from: unit, to: unit + 1 };
  const range = positions.tokensIn(named, units);
  return statistic === "entropy" ? { queries: range, keys: null } : { queries: null, keys: range };
}
