/** The visible part of a map as an image, a pixel of it for each pixel of the screen. */

import type { Shading } from "../../drawing/colors";
import type { Pooling } from "../../state/store";
import type { Level } from "./pyramid";
import type { Span, Window } from "./window";

/** The colours of values, as pixels hold them. */
export function colorsOf(values: Float32Array, shades: Shading): Uint32Array {
  const colors = new Uint32Array(values.length);
  for (let place = 0; place < values.length; place++) colors[place] = shades.pixel(values[place]!);
  return colors;
}

/** The cell that stands at the middle of each pixel. */
export function cellsAt(edges: Uint32Array, span: Span, pixels: number): Uint32Array {
  const cells = new Uint32Array(pixels);
  const last = edges.length - 2;
  let cell = 0;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const unit = span.from + ((pixel + 0.5) * (span.to - span.from)) / pixels;
    while (cell < last && edges[cell + 1]! <= unit) cell++;
    cells[pixel] = cell;
  }
  return cells;
}

/** What each pixel holds of a line of weights, a number a unit; a pixel of several units holds them together, or the largest. */
export function pixelsOf(line: Float32Array, span: Span, pixels: number, pooling: Pooling): Float32Array {
  const units = (span.to - span.from) / pixels;
  return Float32Array.from({ length: pixels }, (_, pixel) => {
    const from = span.from + pixel * units;
    if (units <= 1) return line[Math.floor(from + units / 2)]!;
    let value = 0;
    for (let unit = Math.floor(from); unit < Math.floor(from + units); unit++)
      value =
        pooling === "mean" ? value + line[unit]! : Math.abs(line[unit]!) > Math.abs(value) ? line[unit]! : value;
    return value;
  });
}

/**
 * The visible part of a map.
 *
 * @param colors of the level's cells.
 * @param lines colours, one a pixel of the width, of queries that are drawn by themselves.
 */
export function raster(
  level: Level,
  colors: Uint32Array,
  window: Window,
  width: number,
  height: number,
  lines: ReadonlyMap<number, Uint32Array>,
): Uint32Array<ArrayBuffer> {
  const pixels = new Uint32Array(width * height);
  const columns = cellsAt(level.columnEdges, window.keys, width);
  const rows = cellsAt(level.rowEdges, window.queries, height);
  const units = (window.queries.to - window.queries.from) / height;
  let before = "";
  for (let y = 0; y < height; y++) {
    const query = Math.floor(window.queries.from + (y + 0.5) * units);
    const line = lines.get(query);
    const source = line ? `query ${query}` : `row ${rows[y]}`;
    const start = y * width;
    if (source === before) pixels.copyWithin(start, start - width, start);
    else if (line) pixels.set(line, start);
    else for (let x = 0; x < width; x++) pixels[start + x] = colors[rows[y]! * level.columns + columns[x]!]!;
    before = source;
  }
  return pixels;
}

/** Pixels as something that can be drawn. */
export function canvasOf(pixels: Uint32Array<ArrayBuffer>, width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas;
}
