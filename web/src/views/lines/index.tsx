/** Lines between the words that attend and those attended to, as wide and as strong as the weights, for one head or several. */

import { useMemo, useRef } from "preact/hooks";
import { Drawn } from "../../drawing/drawn";
import { Layer } from "../../drawing/layer";
import { Least } from "../../drawing/least";
import type { Pen } from "../../drawing/pen";
import { useTall } from "../../drawing/tall";
import { colors_changed } from "../../drawing/theme";
import { Switch } from "../parts/controls";
import type { View, ViewProps } from "../view";
import { ColumnOver } from "./column";
import { BEHIND, drawAll, drawChosen, drawLines } from "./draw";
import { hasCompanions, headsOf } from "./heads";
import { Legend } from "./legend";
import "./lines.css";
import { Outside } from "./outside";
import { chosenIn, fileSize, room, sceneOf, TOP } from "./scene";
import { scrolledOf } from "./scrolled";

/** How much of the window's height the lines take at most. */
const SHARE_OF_WINDOW = 0.66;

/** The view of lines. */
export const lines: View = {
  name: "lines",
  title: "Lines",
  hint: "Lines from each word to the words it attends to",
  fits: (_, pane) => pane.queries.value.tokens > 0 && pane.keys.value.tokens > 0,
  Component: Lines,
  drawing(store, pane) {
    if (headsOf(store, pane) === null) return null;
    const draw = (pen: Pen) => {
      const scene = sceneOf(store, pane, pen, "file");
      if (scene) drawAll(pen, scene, store.selection.value);
    };
    return { ...fileSize(store, pane), draw };
  },
};

function Lines({ store, pane }: ViewProps) {
  const layer = useMemo(() => new Layer(), []);
  const stage = useRef<HTMLDivElement>(null);
  const tall = useTall(stage, SHARE_OF_WINDOW);
  const { height, whole } = room(store, pane, tall.value);
  const { linked } = scrolledOf(pane);
  const draw = (pen: Pen) => {
    const scene = sceneOf(store, pane, pen, "screen");
    if (scene === null) return;
    const { heads, shades, least, queries, keys } = scene;
    const from = [
      colors_changed.value,
      least,
      shades.largest,
      queries.scrolled,
      keys.scrolled,
      store.options.scale.value,
    ];
    const readings = heads.map(({ reading }) => reading);
    const { side } = chosenIn(scene, store.selection.value);
    layer.put(pen, [...from, ...readings], (base) => drawLines(base, scene), side === null ? 1 : BEHIND);
    drawChosen(pen, scene, store.selection.value);
  };
  return (
    <div class="lines">
      {hasCompanions(store) && <Legend store={store} pane={pane} />}
      <div class="lines-options">
        <Least store={store} id={`lines-least-${pane.id}`} />
        <span class="soft">a chosen word has all of its lines</span>
        {!whole && <Switch id={`lines-linked-${pane.id}`} label="scroll both sides together" of={linked} />}
      </div>
      <div class="lines-stage" ref={stage}>
        <Drawn
          label="Lines from queries on the left to keys on the right"
          height={() => TOP + room(store, pane, tall.value).height}
          draw={draw}
        />
        <ColumnOver store={store} pane={pane} side="queries" height={height} />
        <ColumnOver store={store} pane={pane} side="keys" height={height} />
      </div>
      {!whole && <Outside store={store} pane={pane} height={height} />}
    </div>
  );
}
