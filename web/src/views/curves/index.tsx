/** To be written. */

import type { View } from "../view";

/** To be written. */
export const curves: View = {
  name: "curves",
  title: "Curves",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
