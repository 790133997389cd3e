/** Pictures with the weights on their patches; words beside them are shaded likewise and can be pointed at, too. */

import { useComputed } from "@preact/signals";
import { Drawn } from "../../drawing/drawn";
import type { Store } from "../../state/store";
import { Chips } from "../parts/chips";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { type Field, pointing } from "../parts/pointing";
import { segmentsOf, selectedOn, selecting, shadesOf, useShown } from "../parts/shown";
import type { View, ViewProps } from "../view";
import { Controls } from "./controls";
import { drawing } from "./drawing";
import { patchAt, sizeWithin, steppedPatch } from "./patches";
import { drawPicture } from "./picture";
import { pictureOf } from "./pictures";
import { othersOf, type Placement, partsOf, said } from "./scene";
import "./image.css";

/** The image view. */
export const image: View = {
  name: "image",
  title: "Image",
  hint: "Where in a picture attention lies, patch by patch, and what attends to it",
  fits: (_, pane) => segmentsOf(pane, "image").length > 0,
  Component: Pictures,
  drawing,
};

function Pictures({ store, pane }: ViewProps) {
  const shown = useShown(store, pane);
  const placements = segmentsOf(pane, "image");
  const shades = useComputed(() => shown.value && shadesOf(store, pane, shown.value, segmentsOf(pane, "image")));
  const others = othersOf(store, pane);
  const totals = useComputed(() => shown.value && said(store, pane, shown.value));
  return (
    <div class="image-view">
      <Controls store={store} hasDirection={placements.some(({ side }) => side === "both")} />
      <div class="image-parts" data-chips={others.length > 0}>
        <div class="pictures">
          {placements.map((placement, place) => (
            <Drawn
              key={`${placement.side}-${placement.segment.start}`}
              label={`Picture ${place + 1}: ${placement.segment.rows} by ${placement.segment.columns} patches. Arrow keys move, Enter pins.`}
              height={(width) => sizeWithin(width, placement.segment, pictureOf(placement.segment)).height}
              draw={(pen) => {
                if (!shown.value) return;
                const parts = partsOf(store, pane, placement, shown.value);
                drawPicture(pen, 0, sizeWithin(pen.width, parts.segment, parts.picture), parts);
              }}
              data-picture={place}
              {...pointing(store, fieldOf(store, placement))}
            />
          ))}
          <Drawn
            label="What the colours mean"
            height={() => LEGEND_HEIGHT}
            draw={(pen) => shades.value && drawLegend(pen, 0, 0, shades.value)}
          />
          <p class="soft totals">{totals}</p>
        </div>
        {others.length > 0 && (
          <div class="image-words">
            {others.map((each) => (
              <Chips key={each.placed.side} {...{ store, shown, shades, ...each }} />
            ))}
          </div>
        )}
      </div>
    </div>
  );
}

function fieldOf(store: Store, { side, positions, segment }: Placement): Field {
  const selected = (patch: number | null) => {
    const unit = store.options.unit.peek();
    return patch === null ? null : selecting(store, side, positions.tokensOf(unit, positions.unitOf(unit, patch)));
  };
  return {
    at(x, y, width) {
      return selected(patchAt(segment, sizeWithin(width, segment, pictureOf(segment)), x, y));
    },
    step(arrow) {
      const here = selectedOn(store, side).find(({ from }) => segment.start <= from && from < segment.stop);
      return selected(steppedPatch(segment, here?.from ?? null, arrow));
    },
  };
}
