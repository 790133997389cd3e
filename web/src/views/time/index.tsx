/** Sounds with the weights over time: where in the spectrogram attention lies, and the path that it takes. */

import { useComputed } from "@preact/signals";
import { Drawn } from "../../drawing/drawn";
import type { Store } from "../../state/store";
import { Chips } from "../parts/chips";
import { DirectionChoice } from "../parts/controls";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { type Field, pointing } from "../parts/pointing";
import { segmentsOf, selectedOn, selecting, shadesOf, useShown } from "../parts/shown";
import type { View, ViewProps } from "../view";
import { drawing } from "./drawing";
import { layoutOf, tokensAt } from "./layout";
import { drawPath } from "./path";
import { othersOf, type Path, type Placement, partsOf, pathOf } from "./scene";
import { drawSound } from "./sound";
import "./time.css";

/** The time view. */
export const time: View = {
  name: "time",
  title: "Time",
  hint: "When in a sound attention lies, and the path that it takes through it",
  fits: (_, pane) => segmentsOf(pane, "sound").length > 0,
  Component: Sounds,
  drawing,
};

function Sounds({ store, pane }: ViewProps) {
  const shown = useShown(store, pane);
  const placements = segmentsOf(pane, "sound");
  const shades = useComputed(() => shown.value && shadesOf(store, pane, shown.value, segmentsOf(pane, "sound")));
  return (
    <div class="time-view">
      {placements.some(({ side }) => side === "both") && (
        <div class="controls">
          <DirectionChoice store={store} />
        </div>
      )}
      <div class="sounds">
        {placements.map((placement, place) => (
          <Sound
            key={`${placement.side}-${placement.segment.start}`}
            {...{ store, pane, placement, place, shown }}
          />
        ))}
        <Drawn
          label="What the colours mean"
          height={() => LEGEND_HEIGHT}
          draw={(pen) => shades.value && drawLegend(pen, 0, 0, shades.value)}
        />
      </div>
      {othersOf(store, pane).map((each) => (
        <Chips key={each.placed.side} {...{ store, shown, shades, ...each }} />
      ))}
    </div>
  );
}

interface SoundProps extends ViewProps {
  placement: Placement;
  place: number;
  shown: ReturnType<typeof useShown>;
}

function Sound({ store, pane, placement, place, shown }: SoundProps) {
  const { segment } = placement;
  const path = useComputed(() => {
    const reading = pane.reading.value;
    return reading && pathOf(pane, placement, reading, store.options.unit.value);
  });
  return (
    <Drawn
      label={`Sound of ${segment.seconds} seconds. Left and right move in time, up and down along the path, Enter pins.`}
      height={(width) => layoutOf(width, segment, path.value?.moments.length ?? 0).height}
      draw={(pen) => {
        if (!shown.value || !path.value) return;
        const parts = partsOf(store, pane, placement, path.value, shown.value, pen.width);
        drawSound(pen, 0, parts.sound);
        drawPath(pen, 0, parts.path);
      }}
      data-sound={place}
      {...pointing(
        store,
        fieldOf(store, placement, () => path.peek()),
      )}
    />
  );
}

function fieldOf(store: Store, { side, positions, segment }: Placement, path: () => Path | null): Field {
  const inTime = (token: number) => {
    const unit = store.options.unit.peek();
    return selecting(store, side, positions.tokensOf(unit, positions.unitOf(unit, token)));
  };
  const onPath = (place: number) => {
    const known = path();
    const moment = known?.moments[place];
    if (!known || !moment) return null;
    const rows = known.of.side === "both" ? "queries" : known.of.side;
    return selecting(store, rows, known.of.positions.tokensIn(store.options.unit.peek(), moment));
  };
  return {
    spans: true,
    at(x, y, width) {
      const moments = path()?.moments ?? [];
      const layout = layoutOf(width, segment, moments.length);
      if (y >= layout.path.top)
        return onPath(Math.floor(((y - layout.path.top) / layout.path.height) * moments.length));
      const tokens = tokensAt(layout, segment, x);
      return tokens && selecting(store, side, tokens);
    },
    step([right, down]) {
      if (down !== 0) {
        const [known, unit] = [path(), store.options.unit.peek()];
        const here = store.selection.peek()?.[known?.of.side === "keys" ? "keys" : "queries"];
        const first = here && known?.of.positions.unitsOf(unit, here).from;
        const place =
          known?.moments.findIndex(
            ({ from, to }) => first !== undefined && first !== null && from <= first && first < to,
          ) ?? -1;
        return onPath(place < 0 ? 0 : Math.max(0, Math.min((known?.moments.length ?? 1) - 1, place + down)));
      }
      const here = selectedOn(store, side).find(({ from }) => segment.start <= from && from < segment.stop);
      const from = here ? here.from + right : segment.start;
      return inTime(Math.max(segment.start, Math.min(segment.stop - 1, from)));
    },
  };
}
