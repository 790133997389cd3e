/** To be written. */

import type { View } from "../view";

/** To be written. */
export const text: View = {
  name: "text",
  title: "Text",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
