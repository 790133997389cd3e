/** What layers and heads are called. */

import type { Choice } from "./report";
import type { Group } from "./schema";

/** A head among those of its group. */
type Place = Pick<Choice, "layer" | "head">;

/** The number of a layer in the model. */
export const layerNumber = ({ firstLayer }: Group, layer: number) => firstLayer + layer;

/** A head within its layer, in words. */
export const headName = ({ headName }: Group, head: number) => headName ?? `head ${head}`;

/** Layer and head in words. */
export const placeName = (group: Group, { layer, head }: Place) =>
  `layer ${layerNumber(group, layer)}, ${headName(group, head)}`;

/** Layer and head where there is little room. */
export const shortName = (group: Group, { layer, head }: Place) =>
  group.headName ? `${layerNumber(group, layer)}, ${group.headName}` : `${layerNumber(group, layer)}.${head}`;
