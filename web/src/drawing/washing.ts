/** Colours that rise from the ground of the page: text stays text, dark on light or light on dark, and weights are a wash over it. */

import type { Palette, Scale } from "../state/store";
import { type Color, parsed, rampedShading, type Shading, shading } from "./colors";
import { inks, isDark } from "./inks";
import { colors_changed } from "./theme";

/** Where washes end: blue, or purple and orange for differences; deep on a light ground, bright on a dark one. */
const ENDS = { deep: ["#08519c", "#542788", "#b35806"], bright: ["#6cb6ff", "#b9a7e8", "#fdb863"] } as const;

const mixed = (one: Color, other: Color, share: number) =>
  `rgb(${one.map((part, place) => part + (other[place]! - part) * share).join(" ")})`;

/** Colours of weights behind words: from the ground of the page on, so that text stays text. */
export function washing(scale: Scale, largest: number, signed: boolean): Shading {
  colors_changed.value;
  const back = parsed(inks().back);
  const [end, below, above] = ENDS[isDark() ? "bright" : "deep"].map(parsed) as [Color, Color, Color];
  const ramp = (share: number) =>
    signed ? mixed(back, share < 0.5 ? below : above, Math.abs(2 * share - 1)) : mixed(back, end, share);
  return rampedShading(`wash on ${back.join()}${signed ? ", signed" : ""}`, ramp, scale, largest, signed);
}

/** The colours of weights; on a dark page, differences of 0 are as dark as it. */
export function shadingHere(palette: Palette, scale: Scale, largest: number, signed: boolean): Shading {
  colors_changed.value;
  return signed && isDark() ? washing(scale, largest, true) : shading(palette, scale, largest, signed);
}
