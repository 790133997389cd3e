/** How weights divide between pictures and words. */

import { percent } from "../../content/numbers";
import type { Unit } from "../../content/positions";
import type { Placed, Shown } from "../parts/shown";

/** A sentence on where the weights go, or come from. */
export function totals(placed: Placed, unit: Unit, shown: Shown, signed: boolean): string {
  const { positions } = placed;
  const pictures = positions.segmentsOf("image");
  if (pictures.length === 0) return "";
  const sums = new Float64Array(pictures.length + 1);
  const counts = new Float64Array(pictures.length + 1);
  for (const [index, weight] of shown.values.entries()) {
    const { from } = positions.tokensOf(unit, index);
    const found = pictures.findIndex(({ start, stop }) => start <= from && from < stop);
    const place = found < 0 ? pictures.length : found;
    sums[place]! += weight;
    counts[place]! += 1;
  }
  const names = [
    ...pictures.map((_, place) => (pictures.length > 1 ? `picture ${place + 1}` : "the picture")),
    "words and other tokens",
  ];
  const isShare = shown.side === "keys";
  const about = shown.exact ? "" : "about ";
  const parts = names.flatMap((name, place) => {
    if (counts[place] === 0) return [];
    const value = isShare ? sums[place]! : sums[place]! / counts[place]!;
    return [`${isShare ? "on" : "from"} ${name} ${about}${percent(value, signed)}`];
  });
  const who = !isShare ? "A token's mean weight on it: " : shown.of === null ? "All queries on average: " : "";
  const said = `${who}${parts.join(", ")}`;
  return said.charAt(0).toUpperCase() + said.slice(1);
}
