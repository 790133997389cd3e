/** Which words of two texts belong together: source and target of a translation or summary, question and context. */

import { useMemo, useRef } from "preact/hooks";
import { Drawn } from "../../drawing/drawn";
import { Layer } from "../../drawing/layer";
import type { Pen } from "../../drawing/pen";
import { colors_changed } from "../../drawing/theme";
import { only } from "../../state/sides";
import type { Pane, Selection, Store } from "../../state/store";
import { pointing } from "../parts/pointing";
import type { View, ViewProps } from "../view";
import "./alignment.css";
import { chosenOf } from "./chosen";
import { Controls } from "./controls";
import { drawChosen, drawRibbons, drawTexts } from "./draw";
import { boxAt, stepped } from "./layout";
import { Matrix } from "./matrix";
import { Pharaoh } from "./pharaoh";
import { type Scene, sceneOf, selectedIn, sidesOf } from "./scene";
import { Sentences } from "./sentences";
import { hasPair, sentenceAt, type Text } from "./texts";

const SAVED_WIDTH = 860;

/** The view of two texts. */
export const alignment: View = {
  name: "alignment",
  title: "Alignment",
  hint: "Which words of one text belong to which of the other",
  fits: (_, pane) => hasPair(sidesOf(pane)),
  Component: Alignment,
  drawing(store, pane) {
    const scene = sceneOf(store, pane, SAVED_WIDTH);
    if (scene === null) return null;
    const draw = (pen: Pen) => drawAll(pen, scene, store.selection.value, () => drawTexts(pen, scene));
    return { width: SAVED_WIDTH, height: scene.height, draw };
  },
};

function Alignment({ store, pane }: ViewProps) {
  const layer = useMemo(() => new Layer(), []);
  const last = useRef<Scene | null>(null);
  const draw = (pen: Pen) => {
    const scene = sceneOf(store, pane, pen.width);
    last.current = scene;
    if (scene === null) return;
    const { target, source } = scene.pair;
    const from = [target, source].flatMap(({ positions, unit, units }) => [positions, unit, units.from, units.to]);
    drawAll(pen, scene, store.selection.value, () =>
      layer.put(pen, [...from, colors_changed.value], (base) => drawTexts(base, scene)),
    );
  };
  const at = (x: number, y: number) => {
    if (!last.current) return null;
    const { target, source } = last.current;
    for (const laid of [target, source]) {
      const box = boxAt(laid, x, y);
      if (box) return selecting(pane, laid.text, box.index);
    }
    return null;
  };
  return (
    <div class="alignment">
      <Controls store={store} pane={pane} />
      <Drawn
        id={`alignment-${pane.id}`}
        label="Two texts, and which of their words belong together: arrows move, Enter pins, Escape lets go"
        height={(width) => sceneOf(store, pane, width)?.height ?? 0}
        draw={draw}
        {...pointing(store, { at, step: (arrow) => step(store, pane, last.current, arrow), spans: true })}
      />
      <Sentences store={store} pane={pane} />
      <Matrix store={store} pane={pane} />
      <Pharaoh store={store} pane={pane} />
    </div>
  );
}

/** Ribbons lie under the words, and shades over them. */
function drawAll(pen: Pen, scene: Scene, selection: Selection | null, texts: () => void): void {
  if (scene.pairs) drawRibbons(pen, scene, selection);
  texts();
  drawChosen(pen, scene, selection);
}

/** A unit of a text, or the sentence around it, as what is selected. */
function selecting(pane: Pane, text: Text, index: number): Selection {
  const { positions, unit, side } = text;
  const range = chosenOf(pane).sentences.peek() ? sentenceAt(text, index) : { from: index, to: index + 1 };
  const tokens = positions.tokensIn(unit, range);
  return only({ side, tokens });
}

/** From what is selected along an arrow; at the upper or lower edge into the other text. */
function step(store: Store, pane: Pane, scene: Scene | null, arrow: readonly [number, number]): Selection | null {
  if (scene === null) return null;
  const now = selectedIn(scene, store.selection.peek());
  const own = now.source && !now.target ? scene.source : scene.target;
  const range = now.target ?? now.source;
  const from = range ? (arrow[0] + arrow[1] > 0 ? range.to - 1 : range.from) : -1;
  const other = own === scene.source ? scene.target : scene.source;
  const next = stepped(own, from, arrow);
  if (next) return selecting(pane, own.text, next.index);
  const first = arrow[1] === 0 ? undefined : other.boxes[0];
  return first ? selecting(pane, other.text, first.index) : store.selection.peek();
}
