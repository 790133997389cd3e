/** A statistic of all heads over the layers: a dot for each head, and the mean of each layer. */

import { layerNumber, shortName } from "../../content/naming";
import type { Choice } from "../../content/report";
import type { Group } from "../../content/schema";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { seriesColor } from "../../drawing/series";
import type { Pane, Store } from "../../state/store";
import { chosenOf, markedOf, type Side, sidesOf } from "../grid/state";
import { placesOf, statisticOf, statisticsOf, unitOf } from "../grid/statistics";
import { type Asked, type Box, type Chart, chartOf, heightOf, paintAxes, paintDot } from "../parts/chart";
import { statistic } from "./state";

/** A head in the chart. */
export interface Dot extends Choice {
  side: Side;
  /** Its layer's number in the model. */
  number: number;
  value: number;
  x: number;
  y: number;
}

/** The chart of a pane. */
export interface OverLayers {
  asked: Asked;
  chart: Chart;
  dots: readonly Dot[];
}

/** How much of a layer's width its dots take. */
const SPREAD = 0.64;
const DOT = 5;
const MARKED = 9;

/** How high the chart is. */
export const LAYERS_HEIGHT = heightOf(150, false);

/** The groups of which heads are drawn: the pane's own, or in a difference both. */
const sidesFor = (store: Store, pane: Pane): readonly Side[] =>
  store.compared.value === "beside" ? [pane.id] : sidesOf(store);

const groupsFor = (store: Store, pane: Pane): Group[] =>
  sidesFor(store, pane).map((side) => store.report.group(chosenOf(store, side)));

/** What can be drawn. */
export const offered = (store: Store, pane: Pane): string[] => statisticsOf(groupsFor(store, pane));

/** What is drawn: what was chosen, where it was measured. */
export function shownStatistic(store: Store, pane: Pane): string {
  const names = offered(store, pane);
  return names.includes(statistic.value) ? statistic.value : (names[0] ?? "");
}

/** Where the dots of a pane's heads stand. */
export function overLayers(store: Store, pane: Pane, box: Box): OverLayers {
  const name = shownStatistic(store, pane);
  const groups = groupsFor(store, pane);
  const unit = unitOf(groups, name);
  const values = groups.flatMap((group) => placesOf(group).map((place) => statisticOf(group, name, place) ?? 0));
  const asked: Asked = {
    upwards: unit ? `${name}, ${unit}` : name,
    rightwards: "layer",
    from: Math.min(...groups.map((group) => layerNumber(group, 0))) - 0.5,
    to: Math.max(...groups.map((group) => layerNumber(group, group.layers.length))) - 0.5,
    least: values.reduce((least, value) => Math.min(least, value), 0),
    most: values.reduce((most, value) => Math.max(most, value), 0),
  };
  const drawn = chartOf(box, asked);
  const dots = sidesFor(store, pane).flatMap((side, which) => dotsOf(store, side, groups[which]!, name, drawn));
  return { asked, chart: drawn, dots };
}

function dotsOf(store: Store, side: Side, group: Group, name: string, { right, up }: Chart): Dot[] {
  const choice = chosenOf(store, side);
  return placesOf(group).flatMap(({ layer, head }) => {
    const ofModel = layerNumber(group, layer);
    const value = statisticOf(group, name, { layer, head });
    const aside = (SPREAD * (head + 0.5)) / group.layers[layer]!.heads.length - SPREAD / 2;
    return value === null
      ? []
      : [{ ...choice, layer, head, side, number: ofModel, value, x: right(ofModel + aside), y: up(value) }];
  });
}

/** Draws the chart. */
export function paintOverLayers(pen: Pen, store: Store, { asked, chart: drawn, dots }: OverLayers): void {
  const ink = inks();
  paintAxes(pen, drawn, asked);
  const sides = [...new Set(dots.map(({ side }) => side))];
  for (const side of sides) {
    const color = sides.length > 1 && side === "b" ? seriesColor(0) : ink.soft;
    const own = dots.filter((dot) => dot.side === side);
    for (const { x, y } of own) paintDot(pen, x, y, { color, width: DOT, opacity: 0.55 });
    pen.line(means(own, drawn), { color, width: 1.5 });
    for (const mark of markedOf(store, side)) {
      const dot = own.find(({ layer, head }) => layer === mark.layer && head === mark.head);
      if (!dot) continue;
      paintDot(pen, dot.x, dot.y, { color: ink.back, width: MARKED + 4 });
      paintDot(pen, dot.x, dot.y, { color: mark.color ?? ink.mark, width: MARKED });
      paintName(pen, dot, drawn, `${mark.letter} ${shortName(store.report.group(dot), dot)}`.trim());
    }
  }
}

function paintName(pen: Pen, { x, y }: Dot, { inner }: Chart, name: string): void {
  const isRight = x < (inner.left + inner.right) / 2;
  const { back, text } = inks();
  const style = { size: 11, fill: text, bold: true, align: isRight ? "left" : "right" } as const;
  const [start, middle] = [x + (isRight ? 8 : -8), Math.max(inner.top + 6, y - 7)];
  const width = pen.measure(name, style.size, true);
  pen.rectangle(isRight ? start - 2 : start - width - 2, middle - 7, width + 4, 14, {
    color: back,
    opacity: 0.8,
  });
  pen.text(name, start, middle, style);
}

/** The mean of each layer that has a number. */
function means(dots: readonly Dot[], { right, up }: Chart): Point[] {
  const layers = new Map<number, number[]>();
  for (const { number, value } of dots) layers.set(number, [...(layers.get(number) ?? []), value]);
  return [...layers].map(([number, values]) => [
    right(number),
    up(values.reduce((sum, value) => sum + value, 0) / values.length),
  ]);
}

const NEAR = 12;

/** The dot at a point; null where none is near. */
export function dotAt(dots: readonly Dot[], x: number, y: number): Dot | null {
  let [found, nearest]: [Dot | null, number] = [null, NEAR];
  for (const dot of dots) {
    const distance = Math.hypot(dot.x - x, dot.y - y);
    if (distance < nearest) [found, nearest] = [dot, distance];
  }
  return found;
}

/** The dot that an arrow key leads to: the next number up or down in its layer, or the nearest one of the next layer. */
export function dotBeside(dots: readonly Dot[], from: Choice, key: string): Dot | null {
  const own = dots.find(({ run, layer, head }) => run === from.run && layer === from.layer && head === from.head);
  if (!own) return dots[0] ?? null;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
  const same = dots.filter(({ side, layer }) => side === own.side && layer === own.layer + (step ?? 0));
  if (step !== undefined)
    return same.sort((a, b) => Math.abs(a.value - own.value) - Math.abs(b.value - own.value))[0] ?? null;
  const order = same.sort((a, b) => a.value - b.value);
  return order[order.indexOf(own) + (key === "ArrowUp" ? 1 : -1)] ?? null;
}
