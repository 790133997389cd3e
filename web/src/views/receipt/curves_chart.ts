/** The curves of a check of faithfulness: the answer while units are removed, or inserted. */

import type { Check } from "../../content/schema";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { seriesColor } from "../../drawing/series";
import { type Asked, type Box, type Chart, chartOf, heightOf, paintAxes, paintDot } from "../parts/chart";

/** The two ways in which explanations are tried. */
export const WAYS = ["deletion", "insertion"] as const;
/** One of them. */
export type Way = (typeof WAYS)[number];

/** How high a chart is. */
export const CHECK_HEIGHT = heightOf(150, false);

/** How high a line of the legend is. */
const LINE = 18;
const RANDOM = /^random/;

/** The colour of each explanation; random orders are grey. */
export function colorsOf(check: Check): Map<string, string> {
  const names = [...new Set(WAYS.flatMap((way) => Object.keys(check[way])))];
  const named = names.filter((name) => !RANDOM.test(name));
  return new Map(names.map((name) => [name, RANDOM.test(name) ? inks().soft : seriesColor(named.indexOf(name))]));
}

/** The chart of one way. */
function checkChart(check: Check, way: Way, box: Box): { asked: Asked; chart: Chart } {
  const values = WAYS.flatMap((each) => Object.values(check[each]).flat()).filter(Number.isFinite);
  const verb = { deletion: "removed", insertion: "inserted" }[way];
  const asked: Asked = {
    upwards: check.about,
    rightwards: `share of ${check.what} ${verb}`,
    from: 0,
    to: check.shares.reduce((most, share) => Math.max(most, share), 0) || 1,
    least: values.reduce((least, value) => Math.min(least, value), 0),
    most: values.reduce((most, value) => Math.max(most, value), 0),
    shares: true,
  };
  return { asked, chart: chartOf(box, asked) };
}

/** Draws the curves of one way, random orders below the others. */
export function paintCheck(pen: Pen, check: Check, way: Way, box: Box): void {
  const { asked, chart: drawn } = checkChart(check, way, box);
  paintAxes(pen, drawn, asked);
  const colors = colorsOf(check);
  const curves = Object.entries(check[way]).sort(([a], [b]) => Number(RANDOM.test(b)) - Number(RANDOM.test(a)));
  for (const [name, values] of curves) {
    const points = values.flatMap((value, place): Point[] =>
      Number.isFinite(value) ? [[drawn.right(check.shares[place] ?? 0), drawn.up(value)]] : [],
    );
    const color = colors.get(name)!;
    pen.line(points, { color, width: 2 });
    for (const [x, y] of points.length <= 30 ? points : []) paintDot(pen, x, y, { color, width: 5 });
  }
}

/** How high the legend of a check is. */
export const legendHeight = (check: Check) => LINE * colorsOf(check).size;

/** Draws the legend of a check. */
export function paintLegend(pen: Pen, check: Check, { x, y, width }: Box): void {
  for (const [place, [name, color]] of [...colorsOf(check)].entries()) {
    const middle = y + LINE * (place + 0.5);
    const points = [
      [x, middle],
      [x + 18, middle],
    ] as const;
    pen.line(points, { color, width: 3 });
    pen.text(name, x + 26, middle, { size: 12, fill: inks().text, width: width - 26 });
  }
}
