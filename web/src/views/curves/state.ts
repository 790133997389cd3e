/** What the curves show beside the options of the page. */

import { signal } from "@preact/signals";

/** The statistic of heads that is drawn over layers, "" for the first one. */
export const statistic = signal("");
/** Whether the weight that keys receive has a logarithmic axis. */
export const logarithmic = signal(false);
