/** Draws a picture with its weights. */

import type { Range } from "../../content/positions";
import type { ImageSegment } from "../../content/schema";
import type { Shading } from "../../drawing/colors";
import { inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import { type OverlayStyle, overlay } from "./overlay";
import { frameOf, type Size, within } from "./patches";

/** What is drawn of a picture. */
export interface PictureParts {
  segment: ImageSegment;
  picture: HTMLImageElement | null;
  /** The weight on each patch; null: none are shown on this side. */
  values: Float32Array | null;
  shades: Shading;
  style: OverlayStyle & { smooth: boolean };
  /** Tokens that are selected. */
  marked: readonly Range[];
}

/** Patches smaller than this have no lines between them. */
const LINED = 9;

/** Draws with the upper left corner at a height. */
export function drawPicture(pen: Pen, top: number, size: Size, parts: PictureParts): void {
  const { segment, picture, values, shades, style } = parts;
  const { rows, columns } = segment;
  const { width, height } = size;
  const { line } = inks();
  pen.rectangle(0, top, width, height, { color: line, opacity: 0.35 });
  if (picture) pen.image(picture, 0, top, width, height, { smooth: true });
  if (values) {
    const shown = picture ? style : ({ look: "colours", opacity: 1 } as const);
    pen.image(overlay(values, [rows, columns], shades, shown), 0, top, width, height, { smooth: style.smooth });
  }
  if (!style.smooth && width / columns >= LINED) drawLines(pen, top, size, segment);
  pen.inside(0, top, width, height, () => {
    for (const range of parts.marked) drawMarks(pen, top, size, segment, within(segment, range));
  });
}

function drawLines(pen: Pen, top: number, { width, height }: Size, { rows, columns }: ImageSegment): void {
  const stroke = { color: "#ffffff", width: 1, opacity: 0.14 };
  for (let column = 1; column < columns; column++) {
    const x = (column * width) / columns;
    pen.line(
      [
        [x, top],
        [x, top + height],
      ],
      stroke,
    );
  }
  for (let row = 1; row < rows; row++) {
    const y = top + (row * height) / rows;
    pen.line(
      [
        [0, y],
        [width, y],
      ],
      stroke,
    );
  }
}

/** A frame around each patch, light and dark, to be seen on any picture. */
function drawMarks(pen: Pen, top: number, size: Size, segment: ImageSegment, { from, to }: Range): void {
  const { mark } = inks();
  for (let token = from; token < to; token++) {
    const [x, y, width, height] = frameOf(segment, size, token);
    pen.rectangle(x, top + y, width, height, null, { color: "#000000", width: 5, opacity: 0.7 });
    pen.rectangle(x, top + y, width, height, null, { color: mark, width: 2.5 });
  }
}
