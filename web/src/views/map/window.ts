/** Which part of a map is seen, and how that part is moved and made smaller or larger. */

import type { Range } from "../../content/positions";

/** The part of one side that is seen, in units; its ends may lie within units. */
export type Span = Range;

/** The part of a map that is seen. */
export interface Window {
  queries: Span;
  keys: Span;
}

/** All of a map. */
export const whole = (queries: number, keys: number): Window => ({
  queries: { from: 0, to: queries },
  keys: { from: 0, to: keys },
});

const size = ({ from, to }: Span) => to - from;

/**
 * A span seen larger by a factor, while the unit at `anchor` stays where it is.
 *
 * @param least how many units are seen at least.
 */
export function zoomed(span: Span, count: number, least: number, factor: number, anchor: number): Span {
  const next = Math.min(count, Math.max(Math.min(least, count), size(span) / factor));
  const before = (anchor - span.from) / size(span);
  const from = anchor - before * next;
  return within({ from, to: from + next }, count);
}

/** A span moved by some units, as far as the side goes. */
export const moved = (span: Span, count: number, by: number): Span =>
  within({ from: span.from + by, to: span.to + by }, count);

/** A span moved just so far that a range is seen, from its beginning where it is larger than the span. */
export function holding(span: Span, count: number, range: Range): Span {
  if (range.from < span.from || size(range) > size(span)) return moved(span, count, range.from - span.from);
  return range.to > span.to ? moved(span, count, range.to - span.to) : span;
}

/**
 * A span after everything on the screen went from pixel p to pixel `factor` p + `shift`.
 *
 * @param pixels how many pixels the span takes.
 */
export function dragged(
  span: Span,
  count: number,
  least: number,
  pixels: number,
  factor: number,
  shift: number,
): Span {
  const units = size(span) / pixels;
  if (Math.abs(factor - 1) < 1e-9) return moved(span, count, -shift * units);
  return zoomed(span, count, least, factor, span.from + (shift / (1 - factor)) * units);
}

function within(span: Span, count: number): Span {
  const from = Math.max(0, Math.min(span.from, count - size(span)));
  return { from, to: Math.min(count, from + size(span)) };
}
