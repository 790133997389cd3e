/** Where the parts of a sound's figure lie: spectrogram, curve, strip and path share one axis of time. */

import type { SoundSegment } from "../../content/schema";

/** A stretch from top to bottom. */
export interface Band {
  top: number;
  height: number;
}

/** The parts of a figure. */
export interface Layout {
  left: number;
  right: number;
  /** Of no height where there is no spectrogram. */
  spectrogram: Band;
  curve: Band;
  strip: Band;
  axis: Band;
  path: Band;
  height: number;
}

const [LABELLED, LINE, LONG] = [48, 19, 380];
const GAP = 10;

/** Whether so many rows of a path have a line and a word each. */
export const isLabelled = (moments: number) => moments <= LABELLED;

/** Lays the parts out below one another. */
export function layoutOf(width: number, { spectrogram }: SoundSegment, moments: number): Layout {
  let top = 6;
  const band = (height: number, gap = GAP): Band => {
    const made = { top, height };
    top += height === 0 ? 0 : height + gap;
    return made;
  };
  const parts = {
    left: 46,
    right: width - 14,
    spectrogram: band(spectrogram === null ? 0 : Math.min(170, 90 + width / 10)),
    curve: band(64, 3),
    strip: band(11, 2),
    axis: band(30, 6),
    path: band(isLabelled(moments) ? moments * LINE : LONG, 4),
  };
  return { ...parts, height: top };
}

/** Where a time stands. */
export const xOf = ({ left, right }: Layout, { seconds }: SoundSegment, time: number) =>
  left + (time / seconds) * (right - left);

/** The tokens at a place: those that a pixel covers. */
export function tokensAt({ left, right }: Layout, { start, stop }: SoundSegment, x: number) {
  const count = stop - start;
  const share = (x - left) / (right - left);
  if (share < 0 || share >= 1) return null;
  const from = Math.floor(share * count);
  return {
    from: start + from,
    to: start + Math.min(count, Math.max(from + 1, Math.floor((share + 1 / (right - left)) * count))),
  };
}
