/** The text as a picture: what stands around the selection, in lines. */

import { percent } from "../../content/numbers";
import type { Positions, Range, Unit } from "../../content/positions";
import { inks } from "../../drawing/inks";
import { widthOf } from "../../drawing/measuring";
import type { Pen } from "../../drawing/pen";
import type { Drawing } from "../../drawing/saving";
import type { Side } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import { around, type Block, blocksOf, goesOn, named, read, unitsOf } from "./blocks";
import { saying } from "./caption";
import { type Laid, laid } from "./layout";
import { type Shade, type Shown, shownIn, together, unitsIn } from "./shade";

const WIDTH = 960;
const EDGE = 16;
const GUTTER = 48;
const SIZE = 16;
const LINE = 30;
const GAP = 4;
const PAD = 3;
const BETWEEN = 8;
const TITLE = 30;

/** A word in its place. */
interface Word extends Laid {
  text: string;
  goesOn: boolean;
  units: Range;
}

/** A block in its place. */
interface Paragraph {
  from: number;
  words: Word[];
  lines: number;
}

/** A text in its place. */
interface Sheet {
  title: string;
  /** The room for position numbers. */
  gutter: number;
  chosen: Range | null;
  met: Range | null;
  /** Null: the words are those that are chosen from, not those that are shaded. */
  shade: Shade | null;
  paragraphs: Paragraph[];
  height: number;
}

/** What stands in a saved picture. */
export function drawing(store: Store, pane: Pane): Drawing | null {
  const shown = shownIn(store, pane);
  const shade = shown.shade.peek();
  if (!shade) return null;
  const isOne = pane.group.peek().kind === "self";
  const sides: Side[] = isOne ? ["queries"] : ["queries", "keys"];
  const sheets = sides.map((side) => sheetOf(store, pane, side, isOne, shown, shade));
  return {
    width: WIDTH,
    height: sheets.reduce((sum, { height }) => sum + height, TITLE),
    draw(pen) {
      const colors = inks();
      const largest = percent(shade.shades.largest, shade.shades.signed);
      const says = `${saying(store, pane, shade)}; colours up to ${largest}`;
      pen.text(says, 0, TITLE / 2, { size: 13, fill: colors.soft, width: WIDTH });
      let top = TITLE;
      for (const sheet of sheets) {
        drawSheet(pen, sheet, top);
        top += sheet.height;
      }
    },
  };
}

function sheetOf(store: Store, pane: Pane, side: Side, isOne: boolean, shown: Shown, shade: Shade): Sheet {
  const unit = store.options.unit.peek();
  const positions = pane[side].peek();
  const [chosen, met] = [shade.chosen, shown.met.peek()];
  const first = [chosen, met].find((place) => place && (isOne || place.side === side))?.tokens.from ?? 0;
  const blocks = around(blocksOf(positions), positions.wordOf[first] ?? 0);
  const gutter = blocks.length > 1 ? GUTTER : 0;
  const paragraphs = blocks.map((block) => {
    const words = wordsOf(block, positions, unit);
    const { places, lines } = laid(words, WIDTH - 2 * EDGE - gutter, GAP);
    const from = unitsOf(block, positions, unit).from;
    return { from, words: words.map((word, place) => ({ ...word, ...places[place]! })), lines };
  });
  const title = isOne ? "" : { queries: "Queries", keys: "Keys" }[side];
  const lines = paragraphs.reduce((sum, paragraph) => sum + paragraph.lines, 0);
  return {
    ...{ title, gutter, paragraphs },
    chosen: unitsIn(chosen, side, isOne, positions, unit),
    met: unitsIn(met, side, isOne, positions, unit),
    shade: isOne || shade.side === side ? shade : null,
    height: (title ? TITLE : 0) + lines * LINE + BETWEEN * (paragraphs.length - 1) + 2 * EDGE,
  };
}

/** The words of a block, with room on both sides where a word begins and ends. */
function wordsOf(block: Block, positions: Positions, unit: Unit) {
  const { from, to } = unitsOf(block, positions, unit);
  const word = (text: string, units: Range, goesOn: boolean, isLast: boolean) => {
    const room = (goesOn ? 0 : PAD) + (isLast ? PAD : 0);
    return { text, units, goesOn, wide: widthOf(text, SIZE) + room };
  };
  if (block.segment) return [word(named(block.segment), { from, to }, false, true)];
  return Array.from({ length: to - from }, (_, place) => {
    const index = from + place;
    const isLast = index + 1 === to || !goesOn(positions, unit, index + 1);
    return word(
      read(positions, unit, index),
      { from: index, to: index + 1 },
      goesOn(positions, unit, index),
      isLast,
    );
  });
}

/** Draws a text from a height on. */
function drawSheet(pen: Pen, { title, gutter, chosen, met, shade, paragraphs, height }: Sheet, top: number): void {
  const colors = inks();
  const titled = title ? TITLE : 0;
  if (title) pen.text(title, 0, top + TITLE / 2, { size: 14, fill: colors.text, bold: true });
  const [back, ink] = shade ? [shade.shades.css(0), shade.shades.ink(0)] : [colors.back, colors.text];
  pen.rectangle(0, top + titled, WIDTH, height - titled, { color: back });
  let y = top + titled + EDGE;
  for (const { from, words, lines } of paragraphs) {
    if (gutter > 0) pen.text(String(from), gutter, y + LINE / 2, { size: 11, fill: ink, align: "right" });
    for (const word of words) {
      const box = [EDGE + gutter + word.x, y + word.line * LINE + 3, word.width, LINE - 6] as const;
      const weight = shade ? together(shade, word.units) : 0;
      if (shade && weight !== 0) pen.rectangle(...box, { color: shade.shades.css(weight) });
      const fill = shade && weight !== 0 ? shade.shades.ink(weight) : ink;
      const start = box[0] + (word.goesOn ? 0 : PAD);
      pen.text(word.text, start, box[1] + box[3] / 2, { size: SIZE, fill, width: word.width });
      if (chosen && meet(chosen, word.units)) pen.rectangle(...box, null, { color: colors.mark, width: 2.5 });
      else if (met && meet(met, word.units)) pen.rectangle(...box, null, { color: ink, width: 1.5 });
    }
    y += lines * LINE + BETWEEN;
  }
}

const meet = (a: Range, b: Range) => a.from < b.to && b.from < a.to;
