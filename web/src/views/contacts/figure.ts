/** The whole figure of a head: map and arcs, with what is selected. */

import { percent } from "../../content/numbers";
import type { Range } from "../../content/positions";
import type { Shading } from "../../drawing/colors";
import type { Pen } from "../../drawing/pen";
import { shadingHere } from "../../drawing/washing";
import { reachOf } from "../../state/linked";
import type { Pane, Store } from "../../state/store";
import { drawArcs } from "./arcs";
import { layoutOf } from "./layout";
import { drawCross, drawMatrix } from "./matrix";
import type { Residues } from "./residues";
import { correction, type Scene, scoredOf } from "./scene";
import type { Scores } from "./scores";

/** The colours of scores; the diagonal does not count. */
export function shadesOf(store: Store, pane: Pane, { scores, signed }: Scene): Shading {
  const { palette, scale } = store.options;
  const largest = reachOf(store, (own, other) => {
    const others = other === pane ? scores : scoredOf(own, other)?.scores;
    return others ? largestOf(others, signed) : 0;
  });
  return shadingHere(palette.value, scale.value, largest, signed);
}

function largestOf({ side, values }: Scores, signed: boolean): number {
  let largest = 0;
  for (const [place, value] of values.entries())
    if (Math.floor(place / side) !== place % side) largest = Math.max(largest, signed ? Math.abs(value) : value);
  return largest;
}

/** The residues that are selected as query and as key. */
export function selectedOf(store: Store, residues: Residues): readonly [number | null, number | null] {
  const selection = store.selection.value;
  return [residues.at(selection?.queries), residues.at(selection?.keys)];
}

/** Draws map and arcs. */
export function drawFigure(pen: Pen, store: Store, scene: Scene, map: HTMLCanvasElement): void {
  const layout = layoutOf(pen.width);
  const selected = selectedOf(store, scene.residues);
  drawMatrix(pen, 0, layout, scene, map);
  drawCross(pen, 0, layout, scene.residues.count, selected);
  drawArcs(pen, 0, layout, scene, selected);
}

/** What is known of the selected pair, in words. */
export function saidOfPair(store: Store, scene: Scene): string {
  const { residues, scores, exact: isWhole, signed } = scene;
  const [a, b] = selectedOf(store, residues);
  if (a === null || b === null || a === b) return "";
  const isCorrected = isWhole && !signed && correction.value;
  const { score, exact } = isCorrected
    ? { score: scores.values[a * scores.side + b]!, exact: true }
    : plain(scene, a, b);
  const touches = residues.touch(a, b);
  const known = touches === null ? "" : touches ? ", a known contact" : ", no known contact";
  return `${residues.name(a)} and ${residues.name(b)}: ${exact ? "" : "about "}${percent(score, signed)}, both directions averaged${isCorrected ? " and corrected" : ""}${known}`;
}

/** The score of a pair itself, not of those that stand for it on a coarser map. */
function plain({ reading, units }: Scene, a: number, b: number): { score: number; exact: boolean } {
  const [one, other] = [a, b].map((residue) => ({ from: units[residue]!, to: units[residue]! + 1 })) as [
    Range,
    Range,
  ];
  const [there, back] = [reading.spot(one, other), reading.spot(other, one)];
  return { score: (there.mean + back.mean) / 2, exact: there.exact && back.exact };
}
