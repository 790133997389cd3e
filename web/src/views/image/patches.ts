/** Where the patches of a picture lie. */

import type { Range } from "../../content/positions";
import type { ImageSegment } from "../../content/schema";
import type { Arrow } from "../parts/pointing";

/** The size of a picture on the page. */
export interface Size {
  width: number;
  height: number;
}

const HIGHEST = 560;

/** The size of a picture within a width; without a picture, patches are squares. */
export function sizeWithin(width: number, segment: ImageSegment, picture: HTMLImageElement | null): Size {
  const ratio = picture ? picture.naturalWidth / picture.naturalHeight : segment.columns / segment.rows;
  const shown = Math.min(width, HIGHEST * ratio);
  return { width: shown, height: shown / ratio };
}

/** The token of the patch at a place; null beside the picture. */
export function patchAt({ start, rows, columns }: ImageSegment, size: Size, x: number, y: number): number | null {
  const row = Math.floor((y / size.height) * rows);
  const column = Math.floor((x / size.width) * columns);
  const isInside = row >= 0 && row < rows && column >= 0 && column < columns;
  return isInside ? start + row * columns + column : null;
}

/** The token of the patch to which an arrow leads; from elsewhere, to the one in the middle. */
export function steppedPatch(
  { start, stop, rows, columns }: ImageSegment,
  from: number | null,
  arrow: Arrow,
): number {
  if (from === null || from < start || from >= stop) return start + (rows >> 1) * columns + (columns >> 1);
  const [row, column] = [Math.floor((from - start) / columns), (from - start) % columns];
  const within = (place: number, count: number) => Math.min(count - 1, Math.max(0, place));
  return start + within(row + arrow[1], rows) * columns + within(column + arrow[0], columns);
}

/** The rectangle of a patch. */
export function frameOf({ start, rows, columns }: ImageSegment, size: Size, token: number) {
  const [width, height] = [size.width / columns, size.height / rows];
  const [row, column] = [Math.floor((token - start) / columns), (token - start) % columns];
  return [column * width, row * height, width, height] as const;
}

/** The part of a range that lies in a segment. */
export function within({ start, stop }: ImageSegment, { from, to }: Range): Range {
  return { from: Math.max(start, from), to: Math.min(stop, to) };
}
