/** A frame for numbers: two axes with ticks and names, drawn with a pen. */

import { type ScaleLinear, type ScaleSymLog, scaleLinear, scaleSymlog } from "d3-scale";
import { inks } from "../../drawing/inks";
import type { Pen, Stroke } from "../../drawing/pen";

/** Where a chart stands on a page: its outer edges. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** What a chart is of. */
export interface Asked {
  /** What the axis upwards says, with its unit. */
  upwards: string;
  /** What the axis to the right says. */
  rightwards: string;
  from: number;
  to: number;
  /** The least and the largest number. */
  least: number;
  most: number;
  logarithmic?: boolean;
  /** Whether the numbers to the right are shares, told as percentages; else they are whole. */
  shares?: boolean;
  /** Names in place of numbers along the axis to the right, each in the middle of its unit. */
  names?: readonly string[];
}

type Upwards = ScaleLinear<number, number> | ScaleSymLog<number, number>;

/** A chart that can be drawn into. */
export interface Chart {
  right: ScaleLinear<number, number>;
  up: Upwards;
  /** The edges of the place for numbers. */
  inner: { left: number; top: number; right: number; bottom: number };
}

const LEFT = 46;
const TOP = 22;
const RIGHT = 18;
const BOTTOM = 34;
const NAMES = 58;
const SMALL = 11;
/** How wide a unit must be for its name to stand below it. */
const NAMED = 13;
const TURN = -55;
/** A share of the largest number, below which the logarithmic axis runs straight to 0. */
const STRAIGHT = 1e-3;

/** Whether a unit's name can stand below each of so many. */
export const canName = (width: number, units: number) => (width - LEFT - RIGHT) / units >= NAMED;

/** How high a chart is whose numbers take so many pixels. */
export const heightOf = (numbers: number, named: boolean) => TOP + numbers + (named ? NAMES : BOTTOM);

/** The scales of a chart. */
export function chartOf(box: Box, asked: Asked): Chart {
  const below = asked.names ? NAMES : BOTTOM;
  const inner = {
    left: box.x + LEFT,
    top: box.y + TOP,
    right: Math.max(box.x + LEFT + 1, box.x + box.width - RIGHT),
    bottom: box.y + box.height - below,
  };
  const most = asked.most > asked.least ? asked.most : asked.least + 1;
  const up: Upwards = asked.logarithmic
    ? scaleSymlog([asked.least, most], [inner.bottom, inner.top]).constant(most * STRAIGHT)
    : scaleLinear([asked.least, most], [inner.bottom, inner.top]).nice(4);
  const right = scaleLinear([asked.from, Math.max(asked.to, asked.from + 1)], [inner.left, inner.right]);
  return { right, up, inner };
}

/** Draws the axes of a chart. */
export function paintAxes(pen: Pen, chart: Chart, asked: Asked): void {
  const { right, up, inner } = chart;
  const ink = inks();
  const style = { size: SMALL, fill: ink.soft } as const;
  for (const tick of ticksUp(up, asked.logarithmic ?? false)) {
    const y = up(tick);
    const points = [
      [inner.left, y],
      [inner.right, y],
    ] as const;
    pen.line(points, { color: ink.line, width: 1 });
    pen.text(short(tick), inner.left - 6, y, { ...style, align: "right" });
  }
  pen.text(asked.upwards, inner.left, inner.top - 14, {
    ...style,
    fill: ink.text,
    width: inner.right - inner.left,
  });
  if (asked.names) paintNames(pen, right, inner.bottom, asked.names, ink.soft);
  else paintTicks(pen, chart, asked.shares ?? false, style);
  if (!asked.names)
    pen.text(asked.rightwards, (inner.left + inner.right) / 2, inner.bottom + 26, { ...style, align: "center" });
}

function paintTicks(
  pen: Pen,
  { right, inner }: Chart,
  shares: boolean,
  style: { size: number; fill: string },
): void {
  const count = Math.max(2, Math.min(10, Math.floor((inner.right - inner.left) / 60)));
  for (const tick of right.ticks(count).filter((each) => shares || Number.isInteger(each))) {
    const x = right(tick);
    const points = [
      [x, inner.bottom],
      [x, inner.bottom + 4],
    ] as const;
    pen.line(points, { color: style.fill, width: 1 });
    pen.text(shares ? `${Math.round(100 * tick)} %` : tick.toLocaleString("en"), x, inner.bottom + 12, {
      ...style,
      align: "center",
    });
  }
}

function paintNames(pen: Pen, right: Chart["right"], bottom: number, names: readonly string[], fill: string): void {
  for (const [place, name] of names.entries())
    pen.text(name, right(place + 0.5) + 4, bottom + 8, {
      size: SMALL,
      fill,
      align: "right",
      turn: TURN,
      width: 56,
    });
}

function ticksUp(up: Upwards, logarithmic: boolean): number[] {
  if (!logarithmic) return up.ticks(4);
  const most = up.domain()[1]!;
  const decade = 10 ** Math.floor(Math.log10(most));
  return [0, decade / 100, decade / 10, decade];
}

/** Draws a dot: the round ends of a line that is hardly long. */
export const paintDot = (pen: Pen, x: number, y: number, stroke: Stroke) =>
  pen.line(
    [
      [x, y],
      [x + 0.01, y],
    ],
    stroke,
  );

/** A number in a few signs. */
export const short = (value: number): string =>
  value === 0 ? "0" : Math.abs(value) < 0.001 ? value.toExponential(0) : String(Number(value.toPrecision(3)));
