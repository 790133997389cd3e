/** Sentences in a picture: broken into lines, the first one a title. */

import { inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import type { Box } from "../parts/chart";

const SIZE = 13;
const LINE = 19;
const EDGE = 8;
/** About how wide a letter is at most, so that lines are the same on every pen. */
const LETTER = 6.6;

/** Lines of so many letters at most, broken between words where there are any. */
export function broken(sentence: string, most: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of sentence.split(" ").flatMap((each) => pieces(each, most))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= most) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

const pieces = (word: string, most: number): string[] =>
  word.length <= most ? [word] : (word.match(new RegExp(`.{1,${most}}`, "gsu")) ?? []);

const linesOf = (said: readonly string[], width: number) =>
  said.map((sentence) => broken(sentence, Math.floor((width - 2 * EDGE) / LETTER)));

/** How high sentences stand. */
export const toldHeight = (said: readonly string[], width: number): number =>
  linesOf(said, width).flat().length * LINE + EDGE;

/** Draws sentences. */
export function paintTold(pen: Pen, said: readonly string[], { x, y, width }: Box): void {
  let below = y + LINE / 2 + EDGE / 2;
  for (const [place, lines] of linesOf(said, width).entries())
    for (const line of lines) {
      pen.text(line, x + EDGE, below, {
        size: SIZE,
        fill: inks().text,
        bold: place === 0,
        width: width - 2 * EDGE,
      });
      below += LINE;
    }
}
