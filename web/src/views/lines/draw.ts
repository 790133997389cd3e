/** Draws the two columns, the lines between them, and what is chosen. */

import { type Range, visible } from "../../content/positions";
import { inks } from "../../drawing/inks";
import type { Pen, Point } from "../../drawing/pen";
import { tint } from "../../drawing/tint";
import { across, type Side } from "../../state/sides";
import type { Selection } from "../../state/store";
import { chosenIn, LETTERS, middleOf, ROW, type Scene, TOP } from "./scene";
import { allStrokes, type Strokes, strokesFrom } from "./strokes";

/** Weights of which less than this share of the scale would show are not drawn, also for a chosen word. */
const FAINT = 0.03;
/** How much is left to see of all lines while a word is chosen. */
export const BEHIND = 0.1;
/** How much room heads have beside one another where their lines meet. */
const APART = 2.4;
/** How far a line that leaves the window goes, as a share of the way across. */
const STUB = 0.35;

/** Everything, as a file shows it. */
export function drawAll(pen: Pen, scene: Scene, selection: Selection | null): void {
  const chosen = chosenIn(scene, selection);
  drawLines(pen, scene, chosen.side === null ? 1 : BEHIND);
  drawChosen(pen, scene, selection);
}

/** All lines of at least the chosen weight. */
export function drawLines(pen: Pen, scene: Scene, strength = 1): void {
  const { heads, sight, least } = scene;
  drawStrokes(
    pen,
    scene,
    allStrokes(
      heads.map(({ reading }) => reading),
      sight,
      least,
    ),
    strength,
  );
}

/** The words, and the lines of those that are chosen. */
export function drawChosen(pen: Pen, scene: Scene, selection: Selection | null): void {
  const { side, ...chosen } = chosenIn(scene, selection);
  const units = side && chosen[side];
  const clip = (draw: () => void) => pen.inside(0, TOP, scene.width, scene.height - TOP, draw);
  clip(() => {
    for (const each of ["queries", "keys"] as const) if (chosen[each]) mark(pen, scene, each, chosen[each]);
    if (side && units) {
      const readings = scene.heads.map(({ reading }) => reading);
      bars(pen, scene, side, units);
      drawStrokes(pen, scene, strokesFrom(readings, side, units, scene.sight, 0), 1);
    }
    for (const each of ["queries", "keys"] as const) labels(pen, scene, each, chosen[each]);
  });
  names(pen, scene);
}

function names(pen: Pen, { queries, keys }: Scene): void {
  const { soft } = inks();
  const style = { size: 12, fill: soft };
  pen.text("Queries", queries.right, TOP / 2, { ...style, align: "right" });
  pen.text("Keys", keys.left, TOP / 2, { ...style, align: "left" });
}

function labels(pen: Pen, scene: Scene, side: Side, chosen: Range | null): void {
  const column = scene[side];
  const { text } = inks();
  const [x, align] = side === "queries" ? [column.right, "right" as const] : [column.left, "left" as const];
  const { from, to } = scene.sight[side];
  for (let unit = from; unit < to; unit++)
    pen.text(visible(column.positions.label(scene.unit, unit)), x, middleOf(column, unit), {
      size: LETTERS,
      fill: text,
      align,
      width: column.right - column.left,
      bold: chosen !== null && unit >= chosen.from && unit < chosen.to,
    });
}

/** Marks the chosen words. */
function mark(pen: Pen, scene: Scene, side: Side, units: Range): void {
  const column = scene[side];
  const [from, to] = [Math.max(units.from, scene.sight[side].from), Math.min(units.to, scene.sight[side].to)];
  if (from >= to) return;
  const top = middleOf(column, from) - ROW / 2;
  const [x, width] = [column.left - 2, column.right - column.left + 4];
  pen.rectangle(x, top + 1, width, (to - from) * ROW - 2, { color: inks().mark, opacity: 0.22 });
}

/** Behind each word of the other side a bar for each head: how much of the chosen words' weight it has. */
function bars(pen: Pen, scene: Scene, side: Side, units: Range): void {
  const other = across(side);
  const column = scene[other];
  const { from, to } = scene.sight[other];
  const thick = (ROW - 3) / scene.heads.length;
  for (const [place, { reading, color }] of scene.heads.entries()) {
    const { values } = side === "queries" ? reading.row(units) : reading.column(units);
    for (let unit = from; unit < to; unit++) {
      const share = Math.abs(scene.shades.place(values[unit]!));
      if (share < FAINT) continue;
      const long = share * (column.right - column.left);
      const x = other === "queries" ? column.right - long : column.left;
      const y = middleOf(column, unit) - ROW / 2 + 1.5 + place * thick;
      pen.rectangle(x, y, long, thick, { color: tint(scene.shades, color, values[unit]!), opacity: 0.4 });
    }
  }
}

function drawStrokes(pen: Pen, scene: Scene, { strokes, stubs }: Strokes, strength: number): void {
  const { queries, keys, heads, shades } = scene;
  const stroke = (head: number, weight: number, part: number) => {
    const share = Math.abs(shades.place(weight));
    return {
      color: tint(shades, heads[head]!.color, weight),
      width: 0.7 + 2.6 * share,
      opacity: share * strength * part,
    };
  };
  const shift = (head: number) => (head - (heads.length - 1) / 2) * APART;
  const isFaint = (weight: number) => Math.abs(shades.place(weight)) < FAINT;
  pen.inside(0, TOP, scene.width, scene.height - TOP, () => {
    for (const { head, side, unit, towards, weight } of stubs) {
      if (isFaint(weight)) continue;
      const column = scene[side];
      const y = middleOf(column, unit) + shift(head);
      const x = column.inner + STUB * (scene[across(side)].inner - column.inner);
      const edge: Point = [x, towards === "before" ? TOP : scene.height];
      pen.curve([column.inner, y], edge, "horizontal", stroke(head, weight, 0.5));
    }
    for (const { head, query, key, weight } of strokes.toReversed()) {
      if (isFaint(weight)) continue;
      const from: Point = [queries.inner, middleOf(queries, query) + shift(head)];
      const to: Point = [keys.inner, middleOf(keys, key) + shift(head)];
      pen.curve(from, to, "horizontal", stroke(head, weight, 1));
    }
  });
}
