/** From weights to colours that colour-blind readers can tell apart. */

import {
  interpolateCividis,
  interpolateGreys,
  interpolateMagma,
  interpolatePuOr,
  interpolateViridis,
} from "d3-scale-chromatic";
import type { Palette, Scale } from "../state/store";

/** Red, green and blue, 0 to 255. */
export type Color = readonly [red: number, green: number, blue: number];

const STEPS = 256;
const RAMPS: Record<Palette, (share: number) => string> = {
  cividis: interpolateCividis,
  viridis: interpolateViridis,
  magma: interpolateMagma,
  greys: interpolateGreys,
};

/** Colours of heads that are drawn together, and of curves: those of Okabe and Ito (2008), safe for colour-blind readers. */
export const SERIES = [
  "#0072b2",
  "#e69f00",
  "#009e73",
  "#cc79a7",
  "#d55e00",
  "#56b4e9",
  "#f0e442",
  "#999999",
] as const;

/** The smallest weight that the logarithmic scale tells from none. */
const LEAST = 1e-4;

/** Colours of weights up to the largest one; differences run from minus it to it. */
export interface Shading {
  /** Where a weight lies on the scale, 0 to 1 (of a difference: -1 to 1). */
  place(weight: number): number;
  /** Red, green and blue, 0 to 255. */
  color(weight: number): Color;
  css(weight: number): string;
  /** Black or white, whichever can be read on the weight's colour. */
  ink(weight: number): string;
  /** The colour as a pixel holds it. */
  pixel(weight: number): number;
  signed: boolean;
  largest: number;
}

/** What is made once of each palette, a value a step. */
interface Table {
  colors: readonly Color[];
  css: readonly string[];
  inks: readonly string[];
  pixels: Uint32Array;
}

const tables = new Map<string, Table>();

/** The colours of weights. */
export function shading(palette: Palette, scale: Scale, largest: number, signed: boolean): Shading {
  const name = signed ? "difference" : palette;
  return rampedShading(name, signed ? interpolatePuOr : RAMPS[palette], scale, largest, signed);
}

/** The colours of weights on a ramp, which is read once for each name. */
export function rampedShading(
  name: string,
  ramp: (share: number) => string,
  scale: Scale,
  largest: number,
  signed: boolean,
): Shading {
  const { colors, css, inks, pixels } = table(name, ramp);
  const top = Math.max(largest, 1e-12);
  const place = (weight: number) => Math.sign(weight) * placed(Math.min(1, Math.abs(weight) / top), scale, top);
  // What is no number has the colour of 0.
  const step = (weight: number) =>
    Math.round((signed ? (place(weight || 0) + 1) / 2 : place(weight || 0)) * (STEPS - 1));
  return {
    place,
    color: (weight) => colors[step(weight)] ?? colors[0]!,
    css: (weight) => css[step(weight)] ?? css[0]!,
    ink: (weight) => inks[step(weight)] ?? inks[0]!,
    pixel: (weight) => pixels[step(weight)] ?? pixels[0]!,
    signed,
    largest: top,
  };
}

function placed(share: number, scale: Scale, top: number): number {
  if (scale === "linear") return share;
  if (scale === "root") return Math.sqrt(share);
  const least = Math.min(LEAST, top / 10);
  return share * top <= least ? 0 : Math.log(share * (top / least)) / Math.log(top / least);
}

function table(name: string, ramp: (share: number) => string): Table {
  const known = tables.get(name);
  if (known) return known;
  const colors = Array.from({ length: STEPS }, (_, step) => parsed(ramp(step / (STEPS - 1))));
  const made = {
    colors,
    css: colors.map((color) => `rgb(${color.join(" ")})`),
    inks: colors.map(inkOn),
    pixels: new Uint32Array(Uint8Array.from(colors.flatMap((color) => [...color, 255])).buffer),
  };
  tables.set(name, made);
  return made;
}

/** Red, green and blue of a colour in CSS: in hexadecimal, short or long, or as rgb(...). */
export function parsed(text: string): Color {
  const hex = /^#([\da-f]{3}|[\da-f]{6})$/i.exec(text.trim())?.[1];
  const long = hex?.length === 3 ? hex.replace(/./g, "$&$&") : hex;
  const parts = long
    ? long.match(/../g)!.map((part) => Number.parseInt(part, 16))
    : text.match(/[\d.]+/g)?.map(Number);
  const [red = 0, green = 0, blue = 0] = parts ?? [];
  return [Math.round(red), Math.round(green), Math.round(blue)];
}

/** The relative luminance of a colour (Web Content Accessibility Guidelines 2.2). */
export function luminance(color: Color): number {
  const [red, green, blue] = color.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** Black or white, whichever can be read on a colour. */
export const inkOn = (color: Color) => (luminance(color) > 0.18 ? "#000" : "#fff");

/** A matrix as an image, a pixel a cell. */
export function painted(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
  shades: Shading,
): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, columns);
  canvas.height = Math.max(1, rows);
  const pixels = new ImageData(canvas.width, canvas.height);
  const packed = new Uint32Array(pixels.data.buffer);
  for (let place = 0; place < rows * columns; place++) packed[place] = shades.pixel(values[place]!);
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
