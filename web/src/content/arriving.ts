/** Arrays that arrive: each is read when it is first asked for, and kept. */

import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import type { Ref } from "./schema";

/** What reads arrays in the background; a signal holds null until its array is there. */
export function arriving<T>(read: (ref: Ref) => Promise<T>): (ref: Ref) => ReadonlySignal<T | null> {
  const asked = new Map<Ref, Signal<T | null>>();
  return (ref) => {
    const before = asked.get(ref);
    if (before) return before;
    const arrived = signal<T | null>(null);
    asked.set(ref, arrived);
    read(ref).then((content) => {
      arrived.value = content;
    });
    return arrived;
  };
}
