/** Draws a sound: its spectrogram, the weights over time as a curve and a strip, and the axis of seconds. */

import { scaleLinear } from "d3-scale";
import { largestSize, percent } from "../../content/numbers";
import type { Range } from "../../content/positions";
import type { SoundSegment } from "../../content/schema";
import { painted, type Shading } from "../../drawing/colors";
import { inks, isDark } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { type Layout, xOf } from "./layout";
import { envelope, timeAt } from "./moments";
import { spectrogramOf } from "./spectrograms";

const SIZE = 11;

/** What is drawn of a sound. */
export interface SoundParts {
  segment: SoundSegment;
  layout: Layout;
  /** The weight on each position; null: none are shown on this side. */
  values: Float32Array | null;
  shades: Shading;
  /** Tokens that are selected. */
  marked: readonly Range[];
}

/** Draws all of it but the path. */
export function drawSound(pen: Pen, top: number, parts: SoundParts): void {
  drawSpectrogram(pen, top, parts);
  drawCurve(pen, top, parts);
  drawAxis(pen, top, parts);
  drawMarks(pen, top, parts);
}

function drawSpectrogram(pen: Pen, top: number, { segment, layout }: SoundParts): void {
  const { left, right, spectrogram } = layout;
  const { line, soft } = inks();
  if (spectrogram.height === 0) return;
  const image = spectrogramOf(segment, isDark());
  const y = top + spectrogram.top;
  if (image) pen.image(image, left, y, right - left, spectrogram.height, { smooth: true });
  pen.rectangle(left, y, right - left, spectrogram.height, null, { color: line, width: 1 });
  if (segment.hertz === null) return;
  const places = scaleLinear([0, segment.hertz], [y + spectrogram.height, y]);
  for (const hertz of places.ticks(4)) {
    const label = hertz >= 1000 ? `${hertz / 1000} kHz` : `${hertz} Hz`;
    const baseline = hertz === 0 ? "bottom" : "middle";
    pen.text(label, left - 6, Math.max(y + SIZE / 2, places(hertz)), {
      size: SIZE,
      fill: soft,
      align: "right",
      baseline,
    });
  }
}

function drawCurve(pen: Pen, top: number, { layout, values, shades }: SoundParts): void {
  const { left, right, curve, strip } = layout;
  const { line, soft, text } = inks();
  const y = top + curve.top;
  const [width, floor] = [right - left, shades.signed ? y + curve.height / 2 : y + curve.height];
  pen.line(
    [
      [left, floor],
      [right, floor],
    ],
    { color: line, width: 1 },
  );
  pen.rectangle(left, top + strip.top, width, strip.height, { color: line, opacity: 0.4 });
  if (values === null || values.length === 0) return;
  const shown = envelope(values, Math.ceil(width));
  const largest = largestSize(shown);
  const tall = (shades.signed ? curve.height / 2 : curve.height) - 3;
  const points: Point[] = Array.from(shown, (value, place) => [
    left + ((place + 0.5) / shown.length) * width,
    floor - (largest === 0 ? 0 : value / largest) * tall,
  ]);
  const closed: Point[] = [[points[0]![0], floor], ...points, [points.at(-1)![0], floor]];
  pen.area(closed, { color: text, opacity: 0.12 });
  pen.line(points, { color: text, width: 1.5 });
  pen.text(percent(largest, shades.signed), left - 6, floor - tall, {
    size: SIZE,
    fill: soft,
    align: "right",
  });
  pen.text("0", left - 6, floor - 5, { size: SIZE, fill: soft, align: "right" });
  pen.image(painted(shown, 1, shown.length, shades), left, top + strip.top, width, strip.height);
}

function drawAxis(pen: Pen, top: number, { segment, layout }: SoundParts): void {
  const { left, right, axis } = layout;
  const { line, soft } = inks();
  const places = scaleLinear([0, segment.seconds], [left, right]);
  const ticks = places.ticks(Math.max(2, Math.min(10, (right - left) / 70)));
  const format = places.tickFormat(ticks.length);
  for (const seconds of ticks) {
    const x = places(seconds);
    pen.line(
      [
        [x, top + axis.top],
        [x, top + axis.top + 4],
      ],
      { color: line, width: 1 },
    );
    const last = seconds === ticks.at(-1);
    const label = `${format(seconds)}${last ? " s" : ""}`;
    const align = last && x > right - 20 ? "right" : "center";
    pen.text(label, align === "right" ? right : x, top + axis.top + 13, { size: SIZE, fill: soft, align });
  }
}

/** What is selected, as a column of light through spectrogram, curve and strip. */
function drawMarks(pen: Pen, top: number, { segment, layout, marked }: SoundParts): void {
  const { mark } = inks();
  const [from, to] = [top + layout.spectrogram.top, top + layout.strip.top + layout.strip.height];
  for (const range of marked) {
    const [start, stop] = [Math.max(segment.start, range.from), Math.min(segment.stop, range.to)];
    if (start >= stop) continue;
    const [x, end] = [start, stop].map((token) => xOf(layout, segment, timeAt(segment, token))) as [number, number];
    const width = Math.max(1.5, end - x);
    pen.rectangle(x, from, width, to - from, { color: mark, opacity: width < 4 ? 0.9 : 0.28 });
  }
}
