/** To be written. */

import type { View } from "../view";

/** To be written. */
export const image: View = {
  name: "image",
  title: "Image",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
