/** To be written. */

import type { View } from "../view";

/** To be written. */
export const time: View = {
  name: "time",
  title: "Time",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
