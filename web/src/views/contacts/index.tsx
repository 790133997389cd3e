/** Residues: how strongly each pair attends to one another, beside which pairs are known to touch. */

import { useComputed } from "@preact/signals";
import { Drawn } from "../../drawing/drawn";
import { inks } from "../../drawing/inks";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Selection, Store } from "../../state/store";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { type Field, pointing } from "../parts/pointing";
import type { View, ViewProps } from "../view";
import { Controls } from "./controls";
import { drawFigure, saidOfPair, selectedOf, shadesOf } from "./figure";
import { layoutOf, residueAt } from "./layout";
import { KNOWN, mapOf, RIGHT, WRONG } from "./matrix";
import type { Residues } from "./residues";
import { residuesOf, type Scene, sceneOf } from "./scene";
import "./contacts.css";

const WIDTH = 690;

/** The contact view. */
export const contacts: View = {
  name: "contacts",
  title: "Contacts",
  hint: "Pairs of residues that attend to one another, beside pairs that are known to touch",
  fits: (_, pane) => residuesOf(pane) !== null,
  Component: Contacts,
  drawing,
};

function Contacts({ store, pane }: ViewProps) {
  const scene = useComputed(() => sceneOf(store, pane));
  const shades = useComputed(() => scene.value && shadesOf(store, pane, scene.value));
  const map = useComputed(() => scene.value && shades.value && mapOf(scene.value, shades.value));
  const says = useComputed(() => scene.value?.says ?? "");
  const pair = useComputed(() => scene.value && saidOfPair(store, scene.value));
  const isKnown = useComputed(() => scene.value?.residues.isKnown ?? false);
  return (
    <div class="contacts-view">
      <Controls scene={scene.value} />
      <Drawn
        label="Map of residues, and arcs between the strongest pairs. Arrow keys move, Enter pins."
        height={(width) => layoutOf(width).height}
        draw={(pen) => scene.value && map.value && drawFigure(pen, store, scene.value, map.value)}
        {...pointing(
          store,
          fieldOf(store, () => scene.peek()),
        )}
      />
      <Drawn
        label="What the colours mean"
        height={() => LEGEND_HEIGHT}
        draw={(pen) => shades.value && drawLegend(pen, 0, 0, shades.value)}
      />
      {isKnown.value && (
        <div class="contacts-key">
          <span style={{ "--of": KNOWN }}>known contact</span>
          <span style={{ "--of": RIGHT }}>strong pair that touches</span>
          <span style={{ "--of": WRONG }}>strong pair that does not</span>
        </div>
      )}
      <p class="precision">{says}</p>
      <p class="soft pair">{pair}</p>
    </div>
  );
}

function fieldOf(store: Store, scene: () => Scene | null): Field {
  const selected = (residues: Residues, query: number, key: number | null): Selection => {
    const tokens = (residue: number) => ({ from: residues.token(residue), to: residues.token(residue) + 1 });
    return { queries: tokens(query), keys: key === null ? null : tokens(key) };
  };
  return {
    at(x, y, width) {
      const [residues, { left, top, side }] = [scene()?.residues, layoutOf(width)];
      if (!residues) return null;
      const [row, column] = [y - top, x - left].map((place) => residueAt(place, side, residues.count));
      if (row !== null && row !== undefined) return column === null ? null : selected(residues, row, column!);
      return y > top + side && column !== null ? selected(residues, column!, null) : null;
    },
    step([right, down]) {
      const known = scene();
      if (!known || known.residues.count === 0) return null;
      const [a, b] = selectedOf(store, known.residues);
      const first = known.pairs[0] ?? { a: 0, b: 0 };
      if (a === null && b === null) return selected(known.residues, first.a, first.b);
      const within = (residue: number) => Math.max(0, Math.min(known.residues.count - 1, residue));
      return selected(known.residues, within((a ?? first.a) + down), within((b ?? first.b) + right));
    },
  };
}

function drawing(store: Store, pane: Pane): Drawing | null {
  const scene = sceneOf(store, pane);
  if (scene === null) return null;
  const shades = shadesOf(store, pane, scene);
  const { height } = layoutOf(WIDTH);
  return {
    width: WIDTH,
    height: height + LEGEND_HEIGHT + 30,
    draw(pen) {
      drawFigure(pen, store, scene, mapOf(scene, shades));
      drawLegend(pen, 0, height, shades);
      pen.text(scene.says, 0, height + LEGEND_HEIGHT + 14, { size: 12, fill: inks().text, width: WIDTH });
    },
  };
}
