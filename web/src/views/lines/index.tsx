/** To be written. */

import type { View } from "../view";

/** To be written. */
export const lines: View = {
  name: "lines",
  title: "Lines",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
