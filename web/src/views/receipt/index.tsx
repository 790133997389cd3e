/** To be written. */

import type { View } from "../view";

/** To be written. */
export const receipt: View = {
  name: "receipt",
  title: "Receipt",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
