/** Light and dark: the reader's choice, or that of the system. */

import { signal } from "@preact/signals";
import type { Theme } from "../state/store";

// Tests of what is computed run without a window.
const dark = typeof window === "undefined" ? null : window.matchMedia("(prefers-color-scheme: dark)");

/** Counts changes of colours; what is drawn reads it, to be drawn anew. */
export const colors_changed = signal(0);

dark?.addEventListener("change", () => {
  colors_changed.value++;
});

/** Puts a theme on the page. */
export function wear(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  colors_changed.value = colors_changed.peek() + 1;
}
