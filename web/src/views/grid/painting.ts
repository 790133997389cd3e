/** Draws heads: thumbnails, what stands below them, their frames, and the numbers of layers and heads. */

import { layerNumber, shortName } from "../../content/naming";
import type { Group } from "../../content/schema";
import { inkOn, parsed, type Shading } from "../../drawing/colors";
import { type Inks, inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import { type Cell, type Layout, MARGIN } from "./layout";
import { type Place, samePlace, statisticOf } from "./statistics";
import type { Area, Thumbnails } from "./thumbnails";

/** A head that stands out: the colour of its frame (of the page's where none is given), and a letter in its corner. */
export interface Marked extends Place {
  color: string | null;
  letter: string;
}

/** What is drawn of a group. */
export interface Picture {
  group: Group;
  layout: Layout;
  thumbnails: Thumbnails;
  /** Heads that stand out, the last one on top. */
  marked: readonly Marked[];
  /** The kind that is looked for, "" for all. */
  kind: string;
  /** The statistic that colours what surrounds the thumbnails, "" for none. */
  colour: string;
  shades: Shading;
}

const SMALL = 9.5;
const FADED = 0.82;
/** Kinds in so few letters that they stand below a thumbnail. */
const SHORT: Record<string, string> = {
  previous: "prev",
  separator: "sep",
  "same token": "twin",
  "not measured": "–",
};

/** Draws the part of a picture that is seen, from the pen's upper left. */
export function paint(pen: Pen, picture: Picture, area: Area, ratio: number): void {
  const { layout, thumbnails, group, kind, marked } = picture;
  const ink = inks();
  const cells = layout.cells.filter((cell) => isSeen(cell, layout, area));
  for (const cell of cells) paintBack(pen, picture, cell, area, ink);
  pen.image(thumbnails.sheet(cells, layout, area, ratio), 0, 0, area.width, area.height);
  for (const cell of cells)
    if (kind !== "" && headOf(group, cell).kind !== kind)
      pen.rectangle(cell.x - area.x, cell.y - area.y, layout.width, layout.height, {
        color: ink.back,
        opacity: FADED,
      });
  for (const mark of marked) {
    const cell = cells.find((each) => samePlace(each, mark));
    if (cell) paintMark(pen, layout, mark, cell.x - area.x, cell.y - area.y, ink);
  }
  if (layout.gutter > 0) paintNumbers(pen, picture, area, ink);
}

const headOf = (group: Group, { layer, head }: Place) => group.layers[layer]!.heads[head]!;

const isSeen = ({ x, y }: Cell, { width, height }: Layout, area: Area) =>
  x + width > area.x && y + height > area.y && x < area.x + area.width && y < area.y + area.height;

function paintBack(pen: Pen, picture: Picture, cell: Cell, area: Area, ink: Inks): void {
  const { group, layout, colour, shades } = picture;
  const [x, y] = [cell.x - area.x, cell.y - area.y];
  const value = colour === "" ? null : statisticOf(group, colour, cell);
  if (value !== null) pen.rectangle(x, y, layout.width, layout.height, { color: shades.css(value) });
  const { side } = layout;
  const edge = value === null ? ink.line : ink.back;
  pen.rectangle(x + MARGIN - 0.5, y + MARGIN - 0.5, side + 1, side + 1, null, { color: edge, width: 1 });
  const told = headOf(group, cell).kind;
  const style = { size: SMALL, align: "center", width: layout.width - 2 } as const;
  const middle = x + layout.width / 2;
  const below = y + side + 2 * MARGIN + 4.5;
  const written = value === null ? { strong: ink.text, weak: ink.soft } : bothOf(shades.ink(value));
  if (layout.gutter > 0) pen.text(SHORT[told] ?? told, middle, below, { ...style, fill: written.weak });
  else {
    const name = group.headName ?? shortName(group, cell);
    pen.text(name, middle, below, { ...style, fill: written.strong, bold: group.headName === null });
    pen.text(SHORT[told] ?? told, middle, below + 12, { ...style, fill: written.weak });
  }
}

const bothOf = (color: string) => ({ strong: color, weak: color });

function paintMark(pen: Pen, layout: Layout, mark: Marked, x: number, y: number, ink: Inks): void {
  const color = mark.color ?? ink.mark;
  for (const stroke of [
    { color: ink.back, width: 6 },
    { color, width: 2.5 },
  ])
    pen.rectangle(x + 1, y + 1, layout.width - 2, layout.height - 2, null, stroke);
  if (mark.letter === "") return;
  pen.rectangle(x, y, 13, 13, { color });
  pen.text(mark.letter, x + 6.5, y + 7, { size: 10, fill: inkOn(parsed(color)), align: "center", bold: true });
}

/** The numbers stay at the edges of what is seen. */
function paintNumbers(pen: Pen, { group, layout }: Picture, area: Area, ink: Inks): void {
  const { gutter, top, side } = layout;
  const style = { size: 10.5, fill: ink.soft } as const;
  pen.rectangle(0, 0, gutter, area.height, { color: ink.back });
  for (const layer of group.layers.keys()) {
    const y = top + layer * layout.down + MARGIN + side / 2 - area.y;
    pen.text(String(layerNumber(group, layer)), gutter - 5, y, { ...style, align: "right" });
  }
  pen.rectangle(0, 0, area.width, top, { color: ink.back });
  pen.inside(gutter, 0, Math.max(0, area.width - gutter), top, () => {
    for (let head = 0; head < layout.columns; head++) {
      const x = gutter + head * layout.across + layout.width / 2 - area.x;
      if (group.headName === null) pen.text(String(head), x, top / 2, { ...style, align: "center" });
      else pen.text(group.headName, x, top / 2, { ...style, size: SMALL, align: "center", width: layout.across });
    }
  });
}
