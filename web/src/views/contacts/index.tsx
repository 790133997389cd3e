/** To be written. */

import type { View } from "../view";

/** To be written. */
export const contacts: View = {
  name: "contacts",
  title: "Contacts",
  hint: "",
  fits: () => false,
  Component: () => null,
  drawing: () => null,
};
