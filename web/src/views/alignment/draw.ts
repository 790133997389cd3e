/** Draws two texts, the ribbons between them, and what is chosen. */

import type { Range } from "../../content/positions";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { seriesColor } from "../../drawing/series";
import { tint } from "../../drawing/tint";
import type { Selection } from "../../state/store";
import { BOX, type Box, type Laid, LETTERS } from "./layout";
import { type Scene, selectedIn } from "./scene";

const PADDING = 6;
/** Weights of which less than this share of the scale would show are not drawn. */
const FAINT = 0.04;
/** How strong ribbons are: of words that belong together, of others, and of those beside the chosen ones. */
const FIRM = { least: 0.45, more: 0.5 };
const CHOSEN = { least: 0.15, more: 0.85 };
const LOOSE = 0.16;
const BESIDE = 0.07;

/** The texts, as they lie under everything else. */
export function drawTexts(pen: Pen, scene: Scene): void {
  const { soft } = inks();
  for (const { text, y } of scene.names) pen.text(text, 0, y, { size: 12, fill: soft });
  for (const laid of [scene.target, scene.source]) for (const box of laid.boxes) word(pen, box, laid);
}

/** Shades and marks of what is chosen. */
export function drawChosen(pen: Pen, scene: Scene, selection: Selection | null): void {
  const chosen = selectedIn(scene, selection);
  if (chosen.target || (!chosen.source && !scene.pairs))
    shade(pen, scene, scene.source, scene.reading.row(chosen.target ?? scene.pair.target.units).values);
  else if (chosen.source) shade(pen, scene, scene.target, scene.reading.column(chosen.source).values);
  for (const [laid, range] of [
    [scene.target, chosen.target],
    [scene.source, chosen.source],
  ] as const)
    for (const box of laid.boxes)
      if (range && range.from <= box.index && box.index < range.to)
        pen.rectangle(box.x, box.y, box.width, BOX, null, { color: inks().mark, width: 2 });
}

function word(pen: Pen, box: Box, { text }: Laid): void {
  const { back, line, soft, text: ink } = inks();
  const fill = text.positions.isSpecial(text.unit, box.index) ? soft : ink;
  pen.rectangle(box.x, box.y, box.width, BOX, { color: back }, { color: line, width: 1 });
  written(pen, box, fill);
}

function written(pen: Pen, { label, x, y, width }: Box, fill: string): void {
  pen.text(label, x + width / 2, y + BOX / 2, { size: LETTERS, fill, align: "center", width: width - PADDING });
}

/** Puts the words anew, each on the colour of its weight; those that fill a page stand on that of no weight. */
function shade(pen: Pen, scene: Scene, laid: Laid, values: Float32Array): void {
  const { pairs, width } = scene;
  const shades = pairs ? scene.shades : scene.shadesOf(values.subarray(laid.text.units.from, laid.text.units.to));
  const [first, last] = [laid.boxes[0], laid.boxes.at(-1)];
  if (!first || !last) return;
  if (!pairs) pen.rectangle(-1, first.y - 2, width + 2, last.y - first.y + BOX + 4, { color: shades.css(0) });
  for (const box of laid.boxes) {
    const weight = values[box.index]!;
    if (pairs || weight !== 0) pen.rectangle(box.x, box.y, box.width, BOX, { color: shades.css(weight) });
    written(pen, box, shades.ink(weight));
  }
}

/** Ribbons between the texts, to lie under them: those of a second line pass behind the first. */
export function drawRibbons(pen: Pen, scene: Scene, selection: Selection | null): void {
  const { reading, shades, source, target } = scene;
  const chosen = selectedIn(scene, selection);
  const together = new Set(scene.pairs?.map(({ target, source }) => `${target} ${source}`));
  const isChosen = (range: Range | null, index: number) => !range || (range.from <= index && index < range.to);
  const any = chosen.target !== null || chosen.source !== null;
  const drawn = target.boxes.flatMap((to) => {
    const { values } = reading.row({ from: to.index, to: to.index + 1 });
    return source.boxes.map((from) => {
      const share = Math.abs(shades.place(values[from.index]!));
      const belongs = together.has(`${to.index} ${from.index}`);
      const full = any
        ? CHOSEN.least + CHOSEN.more * share
        : belongs
          ? FIRM.least + FIRM.more * share
          : LOOSE * share;
      const counts = isChosen(chosen.target, to.index) && isChosen(chosen.source, from.index);
      return { from, to, share, weight: values[from.index]!, opacity: counts ? full : BESIDE * share };
    });
  });
  const ends = (box: Box, y: number): Point => [box.x + box.width / 2, y];
  for (const { from, to, share, weight, opacity } of drawn.sort((a, b) => a.opacity - b.opacity))
    if (share >= FAINT)
      pen.curve(ends(from, from.y + BOX), ends(to, to.y), "vertical", {
        color: tint(shades, seriesColor(0), weight),
        width: 0.8 + 5 * share,
        opacity,
      });
}
