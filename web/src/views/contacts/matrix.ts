/** Draws the map of residues: scores above the diagonal, known contacts below it. */

import { parsed, SERIES, type Shading } from "../../drawing/colors";
import { inks } from "../../drawing/inks";
import type { Pen } from "../../drawing/pen";
import { type Layout, tickStep } from "./layout";
import type { Residues } from "./residues";
import type { Scene } from "./scene";

/** Colours of pairs that are known to touch, and known not to. */
export const [RIGHT, WRONG] = [SERIES[5], SERIES[4]];

/** The colour of known contacts, which can be told from light and dark pages. */
export const KNOWN = "#888d97";

const SIZE = 11;

/** The map as an image; made anew only when scores or colours change. */
export function mapOf({ scores, residues }: Scene, shades: Shading): HTMLCanvasElement {
  const { side, values } = scores;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.max(1, side);
  const pixels = new ImageData(canvas.width, canvas.height);
  const known = parsed(KNOWN);
  const residue = (place: number) => Math.floor(((place + 0.5) * residues.count) / side);
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      if (row === column) continue;
      const place = row * side + column;
      const touches = column < row ? residues.touch(residue(row), residue(column)) : null;
      if (touches === false) continue;
      pixels.data.set(touches ? known : shades.color(values[place]!), 4 * place);
      pixels.data[4 * place + 3] = 255;
    }
  canvas.getContext("2d")!.putImageData(pixels, 0, 0);
  return canvas;
}

/** Draws the map with its axes and the strongest pairs. */
export function drawMatrix(pen: Pen, top: number, layout: Layout, scene: Scene, map: HTMLCanvasElement): void {
  const { left, side } = layout;
  const { line, text } = inks();
  const y = top + layout.top;
  pen.image(map, left, y, side, side);
  drawPairs(pen, top, layout, scene);
  pen.rectangle(left, y, side, side, null, { color: line, width: 1 });
  for (const start of scene.residues.starts.slice(1, -1)) {
    const place = (start / scene.residues.count) * side;
    pen.line(
      [
        [left + place, y],
        [left + place, y + side],
      ],
      { color: text, width: 1, opacity: 0.6 },
    );
    pen.line(
      [
        [left, y + place],
        [left + side, y + place],
      ],
      { color: text, width: 1, opacity: 0.6 },
    );
  }
  drawNumbers(pen, top, layout, scene.residues);
}

/** The strongest pairs below the diagonal, on what is known of them. */
function drawPairs(pen: Pen, top: number, { left, top: margin, side }: Layout, { pairs, residues }: Scene): void {
  if (!residues.isKnown) return;
  const cell = side / residues.count;
  const size = Math.max(3, cell * 0.7);
  for (const { a, b } of pairs) {
    const touches = residues.touch(a, b);
    if (touches === null) continue;
    const [x, y] = [left + (a + 0.5) * cell, top + margin + (b + 0.5) * cell];
    pen.rectangle(x - size / 2, y - size / 2, size, size, { color: touches ? RIGHT : WRONG });
  }
}

function drawNumbers(pen: Pen, top: number, { left, top: margin, side }: Layout, residues: Residues): void {
  const { soft, text } = inks();
  const [cell, y] = [side / residues.count, top + margin];
  const isNamed = cell >= 13;
  const step = isNamed ? 1 : tickStep(residues.count, side, 34);
  for (let residue = 0; residue < residues.count; residue++) {
    if (residues.number(residue) % step !== 0) continue;
    const place = (residue + 0.5) * cell;
    const label = isNamed ? residues.name(residue).split(" ")[0]! : String(residues.number(residue));
    pen.text(label, left - 5, y + place, {
      size: isNamed ? 10 : SIZE,
      fill: soft,
      align: "right",
      width: left - 8,
    });
    if (isNamed) pen.text(label, left + place, y - 5, { size: 10, fill: soft, turn: -90 });
    else pen.text(label, left + place, y - 9, { size: SIZE, fill: soft, align: "center" });
  }
  if (residues.chains.length < 2) return;
  for (const [place, { chain }] of residues.chains.entries()) {
    const middle = (residues.starts[place]! + residues.starts[place + 1]!) / 2;
    pen.text(chain, left + middle * cell, top + 10, { size: 12, fill: text, align: "center", bold: true });
  }
}

/** Marks a selected pair, or a residue, on the map. */
export function drawCross(
  pen: Pen,
  top: number,
  layout: Layout,
  count: number,
  [a, b]: readonly (number | null)[],
): void {
  const { left, side } = layout;
  const { mark } = inks();
  const [cell, y] = [side / count, top + layout.top];
  const wide = Math.max(1.5, cell);
  const fill = { color: mark, opacity: 0.3 };
  if (a !== null && a !== undefined) pen.rectangle(left, y + (a + 0.5) * cell - wide / 2, side, wide, fill);
  if (b !== null && b !== undefined) pen.rectangle(left + (b + 0.5) * cell - wide / 2, y, wide, side, fill);
}
