/** Draws the path of attention through a sound: for each query, when it looks, and how far its look spreads. */

import type { Range } from "../../content/positions";
import type { SoundSegment } from "../../content/schema";
import type { Shading } from "../../drawing/colors";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { isLabelled, type Layout, xOf } from "./layout";
import type { Moment } from "./moments";

const SIZE = 12;

/** What is drawn of a path. */
export interface PathParts {
  segment: SoundSegment;
  layout: Layout;
  moments: readonly Moment[];
  label: (moment: Moment) => string;
  /** The weight of each unit, where these are shown and not those of the sound. */
  values: Float32Array | null;
  shades: Shading;
  /** Units that are selected. */
  marked: readonly Range[];
}

/** Draws the path below the axis. */
export function drawPath(pen: Pen, top: number, parts: PathParts): void {
  const { layout, moments } = parts;
  const { left, right, path } = layout;
  const { mark, line } = inks();
  const tall = path.height / Math.max(1, moments.length);
  const begin = top + path.top;
  const isMarked = (moment: Moment) => parts.marked.some(({ from, to }) => from < moment.to && moment.from < to);
  const looking = moments.filter(isMarked);
  if (looking.length === 1) drawLook(pen, top, looking[0]!, parts);
  for (const [place, moment] of moments.entries()) {
    const y = begin + place * tall;
    const weight = parts.values?.[moment.from];
    if (weight !== undefined) pen.rectangle(left - 12, y, 8, tall + 0.3, { color: parts.shades.css(weight) });
    if (!isMarked(moment)) continue;
    pen.rectangle(left, y, right - left, Math.max(1.5, tall), { color: mark, opacity: tall < 4 ? 0.7 : 0.18 });
  }
  pen.line(
    [
      [left, begin],
      [left, begin + path.height],
    ],
    { color: line, width: 1 },
  );
  const draw = isLabelled(moments.length) ? drawWords : drawBand;
  if (!isLabelled(moments.length)) drawLabels(pen, begin, tall, parts);
  pen.inside(left, begin - 2, right - left + 12, path.height + 4, () => draw(pen, begin, tall, parts));
}

/** When a query looks, in the spectrogram above. */
function drawLook(pen: Pen, top: number, moment: Moment, { layout, segment }: PathParts): void {
  const { mark } = inks();
  const { spectrogram } = layout;
  if (Number.isNaN(moment.mean) || spectrogram.height === 0) return;
  const [from, to] = ends(moment, segment).map((time) => xOf(layout, segment, time)) as [number, number];
  pen.rectangle(from, top + spectrogram.top, to - from, spectrogram.height, { color: mark, opacity: 0.16 });
}

/** What stands along a path of many queries, wherever there is room. */
function drawLabels(pen: Pen, begin: number, tall: number, { layout, moments, label }: PathParts): void {
  const { soft } = inks();
  const every = Math.ceil(44 / tall);
  for (let place = 0; place < moments.length; place += every) {
    const style = { size: 11, fill: soft, align: "right", width: layout.left - 16 } as const;
    pen.text(label(moments[place]!), layout.left - 15, begin + (place + 0.5) * tall, style);
  }
}

/** A line, a dot and a word for each query. */
function drawWords(pen: Pen, begin: number, tall: number, parts: PathParts): void {
  const { layout, segment, moments, label } = parts;
  const { left, right } = layout;
  const { text, soft, line } = inks();
  const dots = moments.map(
    (moment, place) => [xOf(layout, segment, moment.mean), begin + (place + 0.5) * tall] as const,
  );
  for (const piece of pieces(dots)) pen.line(piece, { color: soft, width: 1, opacity: 0.7 });
  for (const [place, moment] of moments.entries()) {
    const [x, y] = dots[place]!;
    const name = label(moment);
    if (Number.isNaN(x)) {
      pen.text(name, left + 6, y, { size: SIZE, fill: soft, width: right - left - 12 });
      continue;
    }
    const [from, to] = ends(moment, segment).map((time) => xOf(layout, segment, time)) as [number, number];
    pen.line(
      [
        [from, y],
        [to, y],
      ],
      { color: line, width: 5 },
    );
    pen.area(circle(x, y, 3.2), { color: text });
    const [before, after] = [from - left - 8, right - to - 2];
    const isAfter = after >= Math.min(pen.measure(name, SIZE), before) || after > before;
    const [at, room] = isAfter ? [to + 8, after] : [from - 8, before];
    pen.text(name, at, y, { size: SIZE, fill: text, align: isAfter ? "left" : "right", width: Math.max(20, room) });
  }
}

/** A line within a band of its spread. */
function drawBand(pen: Pen, begin: number, tall: number, { layout, segment, moments }: PathParts): void {
  const { text } = inks();
  const at = (time: number, place: number): Point => [xOf(layout, segment, time), begin + (place + 0.5) * tall];
  const known = moments
    .map((moment, place) => ({ moment, place }))
    .filter(({ moment }) => !Number.isNaN(moment.mean));
  const early = known.map(({ moment, place }) => at(ends(moment, segment)[0], place));
  const late = known.map(({ moment, place }) => at(ends(moment, segment)[1], place));
  if (known.length > 0) pen.area([...early, ...late.reverse()], { color: text, opacity: 0.13 });
  for (const piece of pieces(moments.map((moment, place) => at(moment.mean, place))))
    pen.line(piece, { color: text, width: 1.5 });
}

/** The spread to both sides, within the sound. */
function ends({ mean, spread }: Moment, { seconds }: SoundSegment): [number, number] {
  return [Math.max(0, mean - spread), Math.min(seconds, mean + spread)];
}

/** Lines of points that are known. */
function pieces(points: readonly Point[]): Point[][] {
  const found: Point[][] = [[]];
  for (const point of points) {
    if (Number.isNaN(point[0])) found.push([]);
    else found.at(-1)!.push(point);
  }
  return found.filter((piece) => piece.length > 1);
}

function circle(x: number, y: number, radius: number): Point[] {
  return Array.from({ length: 16 }, (_, step) => {
    const angle = (step / 8) * Math.PI;
    return [x + radius * Math.cos(angle), y + radius * Math.sin(angle)];
  });
}
