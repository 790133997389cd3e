/** The text as a picture: what stands around the selection, in lines. */

import { percent } from "../../content/numbers";
import type { Range } from "../../content/positions";
import { inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import type { Drawing } from "../../drawing/saving";
import { SvgPen } from "../../drawing/svg_pen";
import type { Pane, Store } from "../../state/store";
import { around, type Block, blocksOf, goesOn, named, read, unitsOf } from "./blocks";
import { saying } from "./caption";
import type { Side } from "./choosing";
import { type Laid, laid } from "./layout";
import { type Shade, type Shown, shownIn, together, unitsIn } from "./shade";

const WIDTH = 960;
const EDGE = 16;
const GUTTER = 48;
const SIZE = 16;
const LINE = 30;
const GAP = 4;
const PAD = 3;
const TITLE = 30;

/** A word in its place. */
interface Word extends Laid {
  text: string;
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
  const group = pane.group.peek();
  const isOne = group.queries === group.keys;
  const sides: Side[] = isOne ? ["queries"] : ["queries", "keys"];
  const sheets = sides.map((side) => sheetOf(store, pane, side, isOne, shown, shade));
  return {
    width: WIDTH,
    height: sheets.reduce((sum, { height }) => sum + height, TITLE),
    draw(pen) {
      const colors = inks();
      const largest = percent(shade.shades.largest, shade.shades.signed);
      const says = `${saying(store, pane, shade)}; colours up to ${largest}`;
      pen.text(says, EDGE, TITLE / 2, { size: 13, fill: colors.soft, width: WIDTH - 2 * EDGE });
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
  const measuring = new SvgPen(1, 1);
  const measure = (text: string) => measuring.measure(text, SIZE) + 2 * PAD;
  const isHere = (place: Shade["chosen"]) => place && (isOne || place.side === side);
  const [chosen, met] = [shade.chosen, shown.met.peek()];
  const first = [chosen, met].find(isHere)?.tokens.from ?? 0;
  const paragraphs = around(blocksOf(positions), positions.wordOf[first] ?? 0).map((block) => {
    const units = unitsOf(block, positions, unit);
    const words = wordsOf(block, units, (index) => ({
      text: read(positions, unit, index),
      goesOn: index > units.from && goesOn(positions, unit, index),
      units: { from: index, to: index + 1 },
    }));
    const { places, lines } = laid(words, WIDTH - 2 * EDGE - GUTTER, GAP, measure);
    return { from: units.from, words: words.map((word, place) => ({ ...word, ...places[place]! })), lines };
  });
  const title = isOne ? "" : { queries: "Queries", keys: "Keys" }[side];
  const lines = paragraphs.reduce((sum, paragraph) => sum + paragraph.lines, 0);
  return {
    ...{ title, paragraphs },
    chosen: unitsIn(chosen, side, isOne, positions, unit),
    met: unitsIn(met, side, isOne, positions, unit),
    shade: isOne || shade.side === side ? shade : null,
    height: (title ? TITLE : 0) + lines * LINE + 2 * EDGE,
  };
}

type Unlaid = Omit<Word, keyof Laid> & { goesOn: boolean };

function wordsOf({ segment }: Block, units: Range, word: (index: number) => Unlaid): Unlaid[] {
  if (segment) return [{ text: named(segment), goesOn: false, units }];
  return Array.from({ length: units.to - units.from }, (_, place) => word(units.from + place));
}

function drawSheet(pen: Pen, { title, chosen, met, shade, paragraphs, height }: Sheet, top: number): void {
  const colors = inks();
  const titled = title ? TITLE : 0;
  if (title) pen.text(title, EDGE, top + TITLE / 2, { size: 14, fill: colors.text, bold: true });
  const [back, ink] = shade ? [shade.shades.css(0), shade.shades.ink(0)] : [colors.back, colors.text];
  pen.rectangle(0, top + titled, WIDTH, height - titled, { color: back });
  let y = top + titled + EDGE;
  for (const { from, words, lines } of paragraphs) {
    pen.text(String(from), GUTTER, y + LINE / 2, { size: 11, fill: ink, align: "right" });
    for (const word of words) {
      const box = [EDGE + GUTTER + word.x, y + word.line * LINE + 3, word.width, LINE - 6] as const;
      const weight = shade ? together(shade, word.units) : 0;
      if (shade && weight !== 0) pen.rectangle(...box, { color: shade.shades.css(weight) });
      const fill = shade && weight !== 0 ? shade.shades.ink(weight) : ink;
      pen.text(word.text, box[0] + PAD, box[1] + box[3] / 2, { size: SIZE, fill, width: word.width });
      const frame = [chosen, met].findIndex((range) => range && meet(range, word.units));
      if (frame >= 0) pen.rectangle(...box, null, { color: colors.mark, width: frame === 0 ? 2.5 : 1.5 });
    }
    y += lines * LINE;
  }
}

const meet = (a: Range, b: Range) => a.from < b.to && b.from < a.to;
