/** A chart along the text, in which places can be pointed at and pinned. */

import { type ReadonlySignal, useComputed } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Drawn } from "../../drawing/drawn";
import type { Pane, Selection, Store } from "../../state/store";
import { pointing } from "../parts/pointing";
import type { Statistic } from "./along";
import {
  type Curve,
  curvesOf,
  type OverText,
  overText,
  paintOverText,
  paintSelection,
  selectionOf,
  sideOf,
  textHeight,
  toldOf,
} from "./over_text";

const LABEL: Record<Statistic, string> = {
  entropy: "Entropy of each query along the text",
  received: "Weight that each key receives along the text",
};

/** One statistic of the chosen head along the text. */
export function TextChart({ store, pane, statistic }: { store: Store; pane: Pane; statistic: Statistic }) {
  const shown = useRef<OverText | null>(null);
  const curves = useComputed(() => curvesOf(store, pane, statistic));
  const count = () => shown.current?.positions.count(store.options.unit.peek()) ?? 0;
  const at = (unit: number): Selection | null =>
    shown.current && count() > 0
      ? selectionOf(store, shown.current, Math.max(0, Math.min(unit, count() - 1)))
      : null;
  const step = (right: number): Selection | null => {
    const range = sideOf(store.selection.peek(), statistic);
    if (!range || !shown.current) return at(0);
    const { from, to } = shown.current.positions.unitsOf(store.options.unit.peek(), range);
    return at(right < 0 ? from - 1 : right > 0 ? to : from);
  };
  return (
    <Drawn
      label={`${LABEL[statistic]}; arrow keys go along, Enter pins, Escape lets go`}
      data-chart={statistic}
      height={(width) => textHeight(store, pane, statistic, width)}
      draw={(pen) => {
        if (!curves.value) return;
        const box = { x: 0, y: 0, width: pen.width, height: pen.height };
        shown.current = overText(store, pane, statistic, curves.value, box);
        paintOverText(pen, shown.current);
        paintSelection(pen, store, shown.current);
      }}
      {...pointing(store, {
        at: (x) => (shown.current ? at(Math.floor(shown.current.chart.right.invert(x))) : null),
        step: ([right]) => step(right),
        spans: true,
      })}
    >
      <Told store={store} pane={pane} statistic={statistic} curves={curves} />
    </Drawn>
  );
}

interface ToldProps {
  store: Store;
  pane: Pane;
  statistic: Statistic;
  curves: ReadonlySignal<Curve[] | null>;
}

/** The numbers of what is selected; the status line of the page speaks of it already. */
const Told = ({ store, pane, statistic, curves }: ToldProps) => (
  <output class="told" aria-live="off" data-of={statistic}>
    {toldOf(store, pane, statistic, curves.value ?? [])}
  </output>
);
