/** From the state of the page to what is drawn of a group. */

import type { Group } from "../../content/schema";
import { type Shading, shading } from "../../drawing/colors";
import type { Store } from "../../state/store";
import { type Layout, layoutOf } from "./layout";
import type { Picture } from "./painting";
import { chosenOf, groupsOf, kind, markedOf, type Side } from "./state";
import { largestStatistic, placesOf, sortedPlaces } from "./statistics";
import { largestWeight, Thumbnails, thumbnailCodes } from "./thumbnails";

/** The statistic of an option, "" where the group has none of this name. */
const known = (group: Group, name: string) => (group.facts.includes(name) ? name : "");

/** Where the heads of a group stand. */
export function laidOut(store: Store, group: Group, room: number): Layout {
  const sort = known(group, store.options.sort.value);
  return layoutOf(sort === "" ? placesOf(group) : sortedPlaces(group, sort), sort !== "", room);
}

/** The colours of the statistic that is chosen. */
export function statisticShading(store: Store): Shading {
  const { palette, colour } = store.options;
  return shading(palette.value, "linear", largestStatistic(groupsOf(store), colour.value), false);
}

/** The thumbnails of a group in the colours that are chosen; null while they are read. */
export function thumbnailsOf(store: Store, group: Group): Thumbnails | null {
  const codes = thumbnailCodes(group);
  const { palette, scale, reach } = store.options;
  if (codes === null) return null;
  const all = groupsOf(store).flatMap((each) => thumbnailCodes(each) ?? []);
  const largest = reach.value === "one" ? 1 : Math.max(...all.map(largestWeight));
  return new Thumbnails(group, codes, shading(palette.value, scale.value, largest, false));
}

/** What is drawn of a side. */
export function pictureOf(store: Store, side: Side, layout: Layout, thumbnails: Thumbnails): Picture {
  const group = store.report.group(chosenOf(store, side));
  return {
    group,
    layout,
    thumbnails,
    marked: markedOf(store, side),
    kind: group.layers.some(({ heads }) => heads.some((head) => head.kind === kind.value)) ? kind.value : "",
    colour: known(group, store.options.colour.value),
    shades: statisticShading(store),
  };
}
