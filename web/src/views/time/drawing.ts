/** The time view as a picture to be saved. */

import { isDark } from "../../drawing/inks";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Store } from "../../state/store";
import { drawChips } from "../parts/chips";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { segmentsOf, shadesOf, shownOf } from "../parts/shown";
import { drawPath } from "./path";
import { othersOf, partsOf, pathOf } from "./scene";
import { drawSound } from "./sound";
import { spectrogramOf } from "./spectrograms";

const [WIDTH, GAP] = [960, 14];

/** Sounds below one another, then the other positions; null while something is being decoded. */
export function drawing(store: Store, pane: Pane): Drawing | null {
  const [shown, reading] = [shownOf(store, pane), pane.reading.value];
  if (shown === null || reading === null) return null;
  const placements = segmentsOf(pane, "sound");
  if (placements.some(({ segment }) => segment.spectrogram !== null && !spectrogramOf(segment, isDark())))
    return null;
  const unit = store.options.unit.value;
  const sounds = placements.map((each) =>
    partsOf(store, pane, each, pathOf(pane, each, reading, unit), shown, WIDTH),
  );
  const shades = shadesOf(store, pane, shown, placements);
  const [others, box] = [othersOf(store, pane), { x: 0, y: 0, width: WIDTH }];
  const heights = others.map((each) => drawChips(null, box, { store, ...each }, shown, shades));
  const tops = [...sounds.map(({ sound }) => sound.layout.height), ...heights];
  return {
    width: WIDTH,
    height: tops.reduce((sum, height) => sum + height + GAP, LEGEND_HEIGHT),
    draw(pen) {
      let y = 0;
      for (const { sound, path } of sounds) {
        drawSound(pen, y, sound);
        drawPath(pen, y, path);
        y += sound.layout.height + GAP;
      }
      for (const [place, each] of others.entries()) {
        drawChips(pen, { ...box, y }, { store, ...each }, shown, shades);
        y += heights[place]! + GAP;
      }
      drawLegend(pen, 0, y, shades);
    },
  };
}
