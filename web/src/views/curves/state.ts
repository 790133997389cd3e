/** What the curves show beside the options of the page. */

import { oneOf, setting } from "../../state/settings";

/** The statistic of heads that is drawn over layers, "" for the first one. */
export const statistic = setting("statistic", "", (name) => name);
/** Whether the weight that keys receive has a logarithmic axis. */
export const logarithmic = setting("logarithmic", false, oneOf(false, true));
