/** The colours of heads that are drawn together, and of curves, on the page as it is now. */

import { SERIES } from "./colors";
import { isDark } from "./inks";
import { colors_changed } from "./theme";

/** Blues that can be read on a dark ground, and told from one another there. */
const BRIGHT: Record<string, string> = { "#0072b2": "#3d9be9", "#56b4e9": "#b5e0ff" };
const DARK = SERIES.map((color) => BRIGHT[color] ?? color);

/** The colour of a place in the series. */
export function seriesColor(place: number): string {
  colors_changed.value;
  return (isDark() ? DARK : SERIES)[place % SERIES.length]!;
}
