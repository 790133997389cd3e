/** The spectrograms of a report as images, made when they are first asked for. */

import { bytes } from "../../content/arrays";
import { arriving } from "../../content/arriving";
import type { SoundSegment } from "../../content/schema";

const read = arriving(bytes);
const drawn = new WeakMap<Uint8Array, Map<boolean, HTMLCanvasElement>>();

/** The spectrogram in greys, high frequencies on top: loud is dark on a light page, and light on a dark one. */
export function spectrogramOf(segment: SoundSegment, isDark: boolean): HTMLCanvasElement | null {
  const numbers = segment.spectrogram === null ? null : read(segment.spectrogram).value;
  if (numbers === null || segment.bins * segment.frames === 0) return null;
  const made = drawn.get(numbers) ?? new Map<boolean, HTMLCanvasElement>();
  drawn.set(numbers, made);
  const canvas = made.get(isDark) ?? painted(numbers, segment, isDark);
  made.set(isDark, canvas);
  return canvas;
}

function painted(numbers: Uint8Array, { bins, frames }: SoundSegment, isDark: boolean): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [frames, bins];
  const pixels = new ImageData(frames, bins);
  for (let place = 0; place < bins * frames; place++) {
    const row = bins - 1 - Math.floor(place / frames);
    const loud = numbers[row * frames + (place % frames)]!;
    pixels.data.fill(isDark ? loud : 255 - loud, 4 * place, 4 * place + 3);
    pixels.data[4 * place + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}
