/** What an action has done, which stands beside what is selected for a while. */

import { signal } from "@preact/signals";

const A_WHILE = 3000;

/** What was done last, "" after a while. */
export const done = signal("");

/** Says what was done. */
export function say(text: string): void {
  done.value = text;
  setTimeout(() => {
    if (done.peek() === text) done.value = "";
  }, A_WHILE);
}
