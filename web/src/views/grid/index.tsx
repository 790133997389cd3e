/** To be written. */

import type { View } from "../view";

/** To be written. */
export const grid: View = {
  name: "grid",
  title: "Grid",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
