/** To be written. */

import type { View } from "../view";

/** To be written. */
export const map: View = {
  name: "map",
  title: "Map",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
