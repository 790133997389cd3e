/** Draws a map: the weights, where texts begin, and the legend. */

import type { Unit } from "../../content/positions";
import { type Inks, inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { drawLegend } from "./legend";
import { canvasOf, colorsOf, pixelsOf, raster } from "./raster";
import type { Sight } from "./scene";
import { pixelOf, type Side, scaleOf, seen, sideOf } from "./sides";

/** Cells this large stand apart. */
const APART = 10;
/** Boundaries of texts nearer to each other than this would hide the weights. */
const BETWEEN_BOUNDARIES = 6;
/** What the legend leaves free for the buttons. */
const BUTTONS = 130;
/** The least size of a single weight. */
const DOT = 4;

/** Draws all that stays as it is while the reader points. */
export function drawMap(pen: Pen, sight: Sight): void {
  const ink = inks();
  const { layout, shades } = sight;
  const { left, top, plotWidth, plotHeight } = layout;
  const sides = [sideOf(sight, "queries"), sideOf(sight, "keys")] as const;
  drawWeights(pen, sight);
  pen.inside(left, top, plotWidth, plotHeight, () => {
    drawGaps(pen, ink, sight, sides);
    drawLinks(pen, ink, sight, sides);
    for (const side of sides) drawBoundaries(pen, ink, sight, sides, side);
  });
  pen.rectangle(left, top, plotWidth, plotHeight, null, { color: ink.line, width: 1 });
  drawExactMarks(pen, ink, sight, sides[0]);
  const room = Math.max(120, layout.width - left - BUTTONS);
  drawLegend(pen, ink, shades, legendOf(sight), { x: left, y: top + plotHeight + 12, room });
}

/** What a colour stands for. */
function legendOf({ level, reading, pooling, unit }: Sight): string {
  const [queries, keys] = [reading.queries / level.rows, reading.keys / level.columns].map(rounded);
  const isSingle = level.rows === reading.queries && level.columns === reading.keys;
  const what = pooling === "max" ? "largest weight" : "weight";
  const where = isSingle ? "" : ` in cells of ${queries} × ${keys} ${unit}`;
  const marked = reading.exactQueries().length > 0 ? "; marked rows are exact" : "";
  return `${reading.signed ? `difference of the ${what}s` : what}${where}; rows attend to columns${marked}`;
}

const rounded = (count: number) => Number(count.toFixed(count < 10 ? 1 : 0));

function drawWeights(pen: Pen, sight: Sight): void {
  const { layout, level, colors, window, ratio, shades, pooling } = sight;
  const { left, top, plotWidth, plotHeight } = layout;
  const [width, height] = [Math.round(plotWidth * ratio), Math.round(plotHeight * ratio)];
  const lines = new Map<number, Uint32Array>();
  for (const query of exactQueries(sight)) {
    const row = sight.exactRow(query);
    if (row) lines.set(query, colorsOf(pixelsOf(row, window.keys, width, pooling), shades));
  }
  const pixels = raster(level, colors, window, width, height, lines);
  pen.image(canvasOf(pixels, width, height), left, top, plotWidth, plotHeight);
}

/** The queries in sight of which every weight is known while others' are not. */
function exactQueries({ reading, window }: Sight): readonly number[] {
  const { from, to } = window.queries;
  return reading.exactQueries().filter((query) => query + 1 > from && query < to);
}

/** Hairlines between cells that are large enough to be seen one by one. */
function drawGaps(pen: Pen, ink: Inks, { level }: Sight, sides: readonly [Side, Side]): void {
  for (const side of sides) {
    const edges = side.name === "queries" ? level.rowEdges : level.columnEdges;
    if ((scaleOf(side) * side.count) / (edges.length - 1) < APART) continue;
    for (const edge of edges)
      if (edge > side.span.from && edge < side.span.to)
        across(pen, sides, side, pixelOf(side, edge), { color: ink.back, width: 1, opacity: 0.25 });
  }
}

/** A line through all weights. */
function across(
  pen: Pen,
  sides: readonly [Side, Side],
  side: Side,
  pixel: number,
  stroke: { color: string; width: number; opacity?: number },
): void {
  const other = side.name === "queries" ? sides[1] : sides[0];
  const ends = [other.start, other.start + other.pixels];
  pen.line(
    ends.map((end): Point => (side.name === "queries" ? [end, pixel] : [pixel, end])),
    stroke,
  );
}

/** Single weights upon cells, the strongest last and so on top. */
function drawLinks(pen: Pen, ink: Inks, { links, shades, exactRow }: Sight, sides: readonly [Side, Side]): void {
  for (const { query, key, weight } of links.toReversed()) {
    const [y, x] = [dot(sides[0], query), dot(sides[1], key)];
    if (y === null || x === null || exactRow(query)) continue;
    // Around dots that stand close, outlines would hide the dots.
    const outline =
      Math.min(x.length, y.length) >= 2 * DOT ? { color: ink.back, width: 1, opacity: 0.7 } : undefined;
    pen.rectangle(x.start, y.start, x.length, y.length, { color: shades.css(weight) }, outline);
  }
}

/** Where a single weight is drawn along a side: its unit, and no smaller than a dot. */
export function dot(side: Side, unit: number): { start: number; length: number } | null {
  if (unit + 1 < side.span.from || unit > side.span.to) return null;
  const length = Math.max(DOT, scaleOf(side));
  return { start: pixelOf(side, unit + 0.5) - length / 2, length };
}

/** Where texts, pictures and sounds begin: before and after each segment, and after what separates texts. */
export function boundaries(unit: Unit, { positions, count }: Pick<Side, "positions" | "count">): number[] {
  const ends = [...positions.separators].map((token) => token + 1);
  const tokens = [...ends, ...positions.segments.flatMap(({ start, stop }) => [start, stop])];
  const units = tokens.filter((token) => token < positions.tokens).map((token) => positions.unitOf(unit, token));
  return [...new Set(units)].filter((edge) => edge > 0 && edge < count);
}

function drawBoundaries(pen: Pen, ink: Inks, sight: Sight, sides: readonly [Side, Side], side: Side): void {
  const edges = boundaries(sight.unit, side).filter(
    (edge) => seen(side, { from: edge - 1, to: edge + 1 }) !== null,
  );
  if (edges.length * BETWEEN_BOUNDARIES > side.pixels) return;
  for (const edge of edges) {
    for (const stroke of [
      { color: ink.back, width: 3 },
      { color: ink.text, width: 1 },
    ])
      across(pen, sides, side, pixelOf(side, edge), stroke);
  }
}

/** Marks the queries of which every weight is known. */
function drawExactMarks(pen: Pen, ink: Inks, sight: Sight, side: Side): void {
  for (const query of exactQueries(sight)) {
    const place = seen(side, { from: query, to: query + 1 });
    if (place)
      pen.rectangle(sight.layout.left - 5, place.start, 3, Math.max(2, place.length - 1), { color: ink.soft });
  }
}
