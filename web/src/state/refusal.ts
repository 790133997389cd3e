/** Whether two heads can be told apart number by number, and if not, why. */

import type { Unit } from "../content/positions";
import type { Choice, Report } from "../content/report";

/** Why two heads cannot be subtracted, in a sentence; "" where they can. */
export function refusalOf(report: Report, a: Choice, b: Choice, unit: Unit): string {
  const sides = [
    [report.queries(a).count(unit), report.queries(b).count(unit)],
    [report.keys(a).count(unit), report.keys(b).count(unit)],
  ] as const;
  for (const [one, other] of sides)
    if (one !== other) return `the texts differ in length: ${one} and ${other} ${unit}`;
  const [first, second] = [report.head(a).map, report.head(b).map];
  if (first.form !== second.form) return "of one head every weight is known, of the other only cells";
  if (first.form === "cells" && (first.rows !== second.rows || first.columns !== second.columns))
    return "the cells of the two heads differ in size";
  return "";
}
