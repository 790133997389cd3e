/** How pictures are shown, in both panes alike. */

import { oneOf, setting } from "../../state/settings";
import type { Look } from "./overlay";

export const look = setting<Look>("look", "colours", oneOf<Look>("colours", "light"));
export const smooth = setting("smooth", false, oneOf(false, true));
