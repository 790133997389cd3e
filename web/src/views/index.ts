/** All views, in the order of their tabs; the grid of heads stands beside them. */

import { alignment } from "./alignment";
import { contacts } from "./contacts";
import { curves } from "./curves";
import { image } from "./image";
import { lines } from "./lines";
import { map } from "./map";
import { receipt } from "./receipt";
import { text } from "./text";
import { time } from "./time";
import type { View } from "./view";

export { grid } from "./grid";

/** The views of a head. */
export const VIEWS: readonly View[] = [map, text, lines, alignment, image, time, contacts, curves, receipt];
