/** The chart of all heads, in which a head can be pointed at and chosen. */

import { useRef } from "preact/hooks";
import { shortName } from "../../content/naming";
import { plain } from "../../content/numbers";
import { sameHead } from "../../content/report";
import { Drawn } from "../../drawing/drawn";
import type { Pane, Store } from "../../state/store";
import { looked, take } from "../grid/state";
import {
  type Dot,
  dotAt,
  dotBeside,
  LAYERS_HEIGHT,
  type OverLayers,
  overLayers,
  paintOverLayers,
  shownStatistic,
} from "./over_layers";

/** A statistic of all heads over the layers. */
export function LayersChart({ store, pane }: { store: Store; pane: Pane }) {
  const shown = useRef<OverLayers | null>(null);
  const at = (event: MouseEvent & { currentTarget: HTMLCanvasElement }): Dot | null => {
    const { left, top } = event.currentTarget.getBoundingClientRect();
    return dotAt(shown.current?.dots ?? [], event.clientX - left, event.clientY - top);
  };
  const chosen = (event: MouseEvent | KeyboardEvent, dot: Dot | null) => {
    if (!dot) return;
    const { side, run, group, layer, head } = dot;
    const held = { add: event.shiftKey || event.ctrlKey || event.metaKey, compare: event.altKey };
    take(store, side, { run, group, layer, head }, held);
  };
  return (
    <Drawn
      label={`${shownStatistic(store, pane)} of all heads over layers; arrow keys go from head to head, Enter chooses`}
      role="application"
      tabIndex={0}
      data-chart="layers"
      height={() => LAYERS_HEIGHT}
      draw={(pen) => {
        shown.current = overLayers(store, pane, { x: 0, y: 0, width: pen.width, height: pen.height });
        paintOverLayers(pen, store, shown.current);
      }}
      onPointerMove={(event) => {
        looked.value = at(event);
      }}
      onPointerLeave={() => {
        looked.value = null;
      }}
      onBlur={() => {
        looked.value = null;
      }}
      onClick={(event) => chosen(event, at(event))}
      onKeyDown={(event) => {
        const dots = shown.current?.dots ?? [];
        const own = dots.find((dot) => sameHead(dot, looked.value));
        if (event.key.startsWith("Arrow"))
          looked.value = dotBeside(dots, own ?? pane.choice.value, event.key) ?? looked.value;
        else if (event.key === "Enter") chosen(event, own ?? null);
        else if (event.key === "Escape") looked.value = null;
        else return;
        event.preventDefault();
      }}
    >
      <Looked store={store} pane={pane} shown={shown} />
    </Drawn>
  );
}

/** A ring around the head that is pointed at here or in the grid, and its number. */
function Looked({ store, pane, shown }: { store: Store; pane: Pane; shown: { current: OverLayers | null } }) {
  const dot = looked.value && shown.current?.dots.find((each) => sameHead(each, looked.value));
  const told = dot
    ? `${shortName(store.report.group(dot), dot)} ${store.report.head(dot).kind}: ${plain(dot.value)} ${
        store.report.group(dot).units[shownStatistic(store, pane)] ?? ""
      }`
    : "";
  return (
    <>
      {dot && <span class="dot-ring" style={{ left: `${dot.x}px`, top: `${dot.y}px` }} />}
      <output class="dot-told">{told.trim()}</output>
    </>
  );
}
