/** Draws residues on a line, and arcs between the strongest pairs. */

import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import type { Layout } from "./layout";
import { RIGHT, WRONG } from "./matrix";
import type { Scene } from "./scene";
import type { Pair } from "./scores";

const BENDS = 28;

/** Draws the arcs; those of selected residues stand out. */
export function drawArcs(
  pen: Pen,
  top: number,
  layout: Layout,
  { pairs, residues }: Scene,
  selected: readonly (number | null)[],
): void {
  const { left, side, line } = layout;
  const { soft, text, mark, line: thin } = inks();
  const [cell, y] = [side / residues.count, top + line];
  const chosen = selected.filter((residue) => residue !== null);
  const isChosen = ({ a, b }: Pair) =>
    chosen.length === 2 ? chosen.includes(a) && chosen.includes(b) : chosen.includes(a) || chosen.includes(b);
  const isAny = pairs.some(isChosen);
  const strongest = Math.abs(pairs[0]?.score ?? 1);
  for (const pair of [...pairs].reverse().sort((one, other) => Number(isChosen(one)) - Number(isChosen(other)))) {
    const touches = residues.touch(pair.a, pair.b);
    const color = touches === null ? text : touches ? RIGHT : WRONG;
    const share = Math.abs(pair.score) / strongest;
    const isLit = !isAny || isChosen(pair);
    const opacity = isLit ? 0.35 + 0.6 * share : 0.12;
    const tall = layout.arcs * Math.sqrt((pair.b - pair.a) / Math.max(1, residues.count - 1));
    const points = arc(left + (pair.a + 0.5) * cell, left + (pair.b + 0.5) * cell, y, tall);
    pen.line(points, { color, width: isLit && isAny ? 2.2 : 0.8 + 1.2 * share, opacity });
  }
  pen.line(
    [
      [left, y],
      [left + side, y],
    ],
    { color: soft, width: 1.5 },
  );
  for (const start of residues.starts)
    pen.line(
      [
        [left + start * cell, y - 4],
        [left + start * cell, y + 6],
      ],
      { color: thin, width: 1.5 },
    );
  const named = [...new Set(chosen)].sort((one, other) => one - other);
  for (const [place, residue] of named.entries()) {
    const x = left + (residue + 0.5) * cell;
    pen.rectangle(x - 2.5, y - 2.5, 5, 5, { color: mark });
    const isLeft = named.length === 2 && place === 0;
    const align =
      x < left + 30
        ? "left"
        : x > left + side - 30
          ? "right"
          : named.length === 1
            ? "center"
            : isLeft
              ? "right"
              : "left";
    pen.text(residues.name(residue), x, y + 15, { size: 12, fill: text, align, bold: true });
  }
}

/** Half an ellipse from one place on the line to another. */
function arc(from: number, to: number, y: number, tall: number): Point[] {
  return Array.from({ length: BENDS + 1 }, (_, step) => {
    const angle = (Math.PI * step) / BENDS;
    return [(from + to) / 2 - (Math.cos(angle) * (to - from)) / 2, y - Math.sin(angle) * tall];
  });
}
