/** To be written. */

import type { View } from "../view";

/** To be written. */
export const alignment: View = {
  name: "alignment",
  title: "Alignment",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
