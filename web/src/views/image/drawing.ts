/** The image view as a picture to be saved. */

import { inks } from "../../drawing/inks";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Store } from "../../state/store";
import { drawChips } from "../parts/chips";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { segmentsOf, shadesOf, shownOf } from "../parts/shown";
import { sizeWithin } from "./patches";
import { drawPicture } from "./picture";
import { othersOf, partsOf, said } from "./scene";

const [WIDTH, GAP] = [720, 14];

/** Pictures below one another, then the other positions; null while something is being decoded. */
export function drawing(store: Store, pane: Pane): Drawing | null {
  const shown = shownOf(store, pane);
  if (shown === null) return null;
  const placements = segmentsOf(pane, "image");
  const pictures = placements.map((each) => partsOf(store, pane, each, shown));
  if (pictures.some(({ segment, picture }) => segment.picture !== null && picture === null)) return null;
  const shades = shadesOf(store, pane, shown, placements);
  const others = othersOf(store, pane);
  const sizes = pictures.map(({ segment, picture }) => sizeWithin(WIDTH, segment, picture));
  const box = { x: 0, y: 0, width: WIDTH };
  const heights = others.map((each) => drawChips(null, box, { store, ...each }, shown, shades));
  const sum = (numbers: number[]) => numbers.reduce((total, each) => total + each + GAP, 0);
  return {
    width: WIDTH,
    height: sum(sizes.map(({ height }) => height)) + sum(heights) + LEGEND_HEIGHT + 24,
    draw(pen) {
      let y = 0;
      for (const [place, parts] of pictures.entries()) {
        drawPicture(pen, y, sizes[place]!, parts);
        y += sizes[place]!.height + GAP;
      }
      for (const [place, each] of others.entries()) {
        drawChips(pen, { ...box, y }, { store, ...each }, shown, shades);
        y += heights[place]! + GAP;
      }
      drawLegend(pen, 0, y, shades);
      pen.text(said(store, pane, shown), 0, y + LEGEND_HEIGHT + 10, { size: 12, fill: inks().text, width: WIDTH });
    },
  };
}
