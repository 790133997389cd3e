/** Numbers as curves: a statistic of all heads over the layers, and what the chosen head does along the text. */

import "./curves.css";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Store } from "../../state/store";
import { Switch } from "../parts/controls";
import type { View, ViewProps } from "../view";
import { LayersChart } from "./layers_chart";
import { LAYERS_HEIGHT, offered, overLayers, paintOverLayers, shownStatistic } from "./over_layers";
import { curvesOf, overText, paintOverText, paintSelection, paintTold, textHeight, toldOf } from "./over_text";
import { logarithmic, statistic } from "./state";
import { TextChart } from "./text_chart";

const WIDTH = 720;
const BETWEEN = 16;

function Curves({ store, pane }: ViewProps) {
  return (
    <div class="curves">
      <div class="curves-control">
        <label>
          All heads, by{" "}
          <select
            id={`statistic-${pane.id}`}
            value={shownStatistic(store, pane)}
            onChange={(event) => {
              statistic.value = event.currentTarget.value;
            }}
          >
            {offered(store, pane).map((name) => (
              <option value={name}>{name}</option>
            ))}
          </select>
        </label>
        <span class="soft">a dot for each head, the line their mean</span>
      </div>
      <LayersChart store={store} pane={pane} />
      <div class="curves-control">
        <span>The chosen head along the text</span>
        <Switch id={`logarithmic-${pane.id}`} label="received on a logarithmic axis" of={logarithmic} />
      </div>
      <TextChart store={store} pane={pane} statistic="entropy" />
      <TextChart store={store} pane={pane} statistic="received" />
    </div>
  );
}

function drawing(store: Store, pane: Pane): Drawing | null {
  const entropy = curvesOf(store, pane, "entropy");
  const received = curvesOf(store, pane, "received");
  if (!entropy || !received) return null;
  const above = { x: 0, y: 0, width: WIDTH, height: LAYERS_HEIGHT };
  const middle = {
    ...above,
    y: above.height + BETWEEN,
    height: textHeight(store, pane, "entropy", WIDTH),
  };
  const below = {
    ...above,
    y: middle.y + middle.height + BETWEEN,
    height: textHeight(store, pane, "received", WIDTH),
  };
  const layers = overLayers(store, pane, above);
  const texts = [
    { text: overText(store, pane, "entropy", entropy, middle), told: toldOf(store, pane, "entropy", entropy) },
    { text: overText(store, pane, "received", received, below), told: toldOf(store, pane, "received", received) },
  ];
  return {
    width: WIDTH,
    height: below.y + below.height,
    draw: (pen) => {
      paintOverLayers(pen, store, layers);
      for (const { text, told } of texts) {
        paintOverText(pen, text);
        paintSelection(pen, store, text);
        paintTold(pen, told, text);
      }
    },
  };
}

/** The curves. */
export const curves: View = {
  name: "curves",
  title: "Curves",
  hint: "Statistics of heads over layers, and of the chosen head along the text.",
  fits: () => true,
  Component: Curves,
  drawing,
};
