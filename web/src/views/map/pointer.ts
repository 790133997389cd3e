/** Follows the pointer over a map: what it is on is selected, a click pins, with shift it spans. */

import type { Selection, Store } from "../../state/store";
import { spanned } from "../../state/telling";
import { selectionAt } from "./pointing";
import type { Sight } from "./scene";

/** Follows the pointer, at most once a frame; the answer stops that. */
export function followPointer(canvas: HTMLCanvasElement, store: Store, sight: () => Sight | null): () => void {
  const listening = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(name: K, answer: (event: HTMLElementEventMap[K]) => void) =>
    canvas.addEventListener(name, answer, { signal: listening.signal, passive: true });
  let frame = 0;
  const at = (event: MouseEvent) => {
    const seen = sight();
    return seen && selectionAt(seen, event.offsetX, event.offsetY);
  };
  const follow = (event: MouseEvent) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      store.pointed.value = at(event);
    });
  };
  on("pointermove", (event) => {
    if (event.pointerType !== "touch" && event.buttons === 0) follow(event);
  });
  // Something else lies under a pointer that rests while the map grows.
  on("wheel", follow);
  on("pointerleave", () => {
    cancelAnimationFrame(frame);
    store.pointed.value = null;
  });
  on("click", (event) => {
    const chosen = at(event);
    if (chosen) store.pin(event.shiftKey ? spannedTo(store.pinned.value, chosen) : chosen);
  });
  return () => {
    cancelAnimationFrame(frame);
    listening.abort();
  };
}

/** What is pinned, made larger until it holds what was clicked. */
function spannedTo(pinned: Selection | null, clicked: Selection): Selection {
  const side = (name: keyof Selection) =>
    clicked[name] ? spanned(pinned?.[name] ?? null, clicked[name]) : (pinned?.[name] ?? null);
  return { queries: side("queries"), keys: side("keys") };
}
