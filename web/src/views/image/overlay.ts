/** What lies over a picture: colours of weights, or a dark that leaves out what is attended to. */

import type { Shading } from "../../drawing/colors";

/** How weights show on a picture: in colours, or bright among the dark. */
export type Look = "colours" | "light";

/** How an overlay is made. */
export interface OverlayStyle {
  look: Look;
  /** How much of the picture it covers, 0 to 1. */
  opacity: number;
}

/**
 * The overlay's pixels in red, green, blue and alpha, one a patch.
 *
 * Colours cover the more the larger the weight is, so that the picture shows where there is none; with full opacity
 * they cover everything.
 */
export function overlayPixels(
  values: Float32Array,
  shades: Shading,
  { look, opacity }: OverlayStyle,
): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * values.length);
  for (const [place, weight] of values.entries()) {
    const size = Math.abs(shades.place(weight));
    const alpha = look === "colours" ? opacity * size ** (1 - opacity) : opacity * (1 - size);
    pixels.set(look === "colours" ? shades.color(weight) : [0, 0, 0], 4 * place);
    pixels[4 * place + 3] = 255 * alpha;
  }
  return pixels;
}

/** The overlay as an image, a pixel a patch. */
export function overlay(
  values: Float32Array,
  [rows, columns]: readonly [number, number],
  shades: Shading,
  style: OverlayStyle,
): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  canvas.getContext("2d")!.putImageData(new ImageData(overlayPixels(values, shades, style), columns, rows), 0, 0);
  return canvas;
}
