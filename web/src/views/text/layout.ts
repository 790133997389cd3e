/** Lays words out in lines, for a drawing. */

/** A word to lay out; one that goes on stands right behind the one before it. */
interface Item {
  text: string;
  /** How wide it is by itself. */
  wide: number;
  goesOn: boolean;
}

/** Where a word stands. */
export interface Laid {
  x: number;
  line: number;
  width: number;
}

const STRONG = /\p{L}/u;
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]|\uD802[\uDC00-\uDFFF]|\uD83A[\uDC00-\uDFFF]/u;

/** Whether a text begins with a letter that is read from right to left. */
export function isRightToLeft(texts: Iterable<string>): boolean {
  for (const text of texts) {
    const letter = STRONG.exec(text)?.[0];
    if (letter) return RIGHT_TO_LEFT.test(letter);
  }
  return false;
}

/** The places of words in lines of a width, and how many lines there are; a word is never wider than a line. */
export function laid(items: readonly Item[], width: number, gap: number): { places: Laid[]; lines: number } {
  const places: Laid[] = [];
  let [x, line] = [0, 0];
  for (const { wide, goesOn } of items) {
    const start = x === 0 || goesOn ? x : x + gap;
    if (start > 0 && start + wide > width) {
      line++;
      x = 0;
    } else x = start;
    places.push({ x, line, width: Math.min(width, wide) });
    x += Math.min(width, wide);
  }
  if (isRightToLeft(items.map(({ text }) => text)))
    for (const place of places) place.x = width - place.x - place.width;
  return { places, lines: places.length > 0 ? line + 1 : 0 };
}
