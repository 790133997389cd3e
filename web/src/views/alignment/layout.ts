/** Running text in boxes, a word each, in as many lines as it needs. */

import { visible } from "../../content/positions";
import type { Text } from "./texts";

export const LETTERS = 14;
/** The height of a box, and of a line with the room below it. */
export const BOX = 22;
export const LINE = 27;
const PADDING = 6;
const BETWEEN = 4;

/** Where a word stands. */
export interface Box {
  index: number;
  label: string;
  x: number;
  y: number;
  width: number;
}

/** A text with a box for each of its units. */
export interface Laid {
  text: Text;
  boxes: readonly Box[];
  lines: number;
}

/** A text laid out from a height on. */
export function laid(text: Text, width: number, top: number, measure: (label: string) => number): Laid {
  const { positions, unit, units } = text;
  const boxes: Box[] = [];
  let [x, line] = [0, 0];
  for (let index = units.from; index < units.to; index++) {
    const label = visible(positions.label(unit, index));
    const own = Math.min(width, Math.ceil(measure(label)) + 2 * PADDING);
    if (x > 0 && x + own > width) [x, line] = [0, line + 1];
    boxes.push({ index, label, x, y: top + line * LINE, width: own });
    x += own + BETWEEN;
  }
  const leftwards = isRightToLeft(boxes.map(({ label }) => label));
  return {
    text,
    boxes: leftwards ? boxes.map((box) => ({ ...box, x: width - box.x - box.width })) : boxes,
    lines: units.to > units.from ? line + 1 : 0,
  };
}

const LEFTWARDS = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC]/;

/** Whether most words are written from right to left. */
export const isRightToLeft = (labels: readonly string[]) =>
  2 * labels.filter((label) => LEFTWARDS.test(label)).length > labels.length;

/** The box at a point, its surroundings up to the next ones among them. */
export function boxAt({ boxes }: Laid, x: number, y: number): Box | undefined {
  const [over, around] = [BETWEEN / 2, (LINE - BOX) / 2];
  return boxes.find(
    (box) => x >= box.x - over && x < box.x + box.width + over && y >= box.y - around && y < box.y + BOX + around,
  );
}

/** The box that an arrow leads to from another one. */
export function stepped({ boxes }: Laid, from: number, [right, down]: readonly [number, number]): Box | undefined {
  const place = boxes.findIndex(({ index }) => index === from);
  const now = boxes[place];
  if (!now) return boxes[0];
  if (right !== 0) {
    const leftwards = isRightToLeft(boxes.map(({ label }) => label));
    return boxes[place + (leftwards ? -right : right)];
  }
  const middle = now.x + now.width / 2;
  const away = (box: Box) => Math.abs(box.x + box.width / 2 - middle);
  return boxes
    .filter((box) => box.y === now.y + down * LINE)
    .reduce<Box | undefined>((best, box) => (best && away(best) <= away(box) ? best : box), undefined);
}
