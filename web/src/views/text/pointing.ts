/** Pointing at words with a mouse, a pen or a finger: hovering, choosing, spanning. */

import type { Range } from "../../content/positions";
import { spanned } from "../../state/telling";
import type { Acts } from "./acting";

/**
 * Follows the pointer over words, at most once a frame.
 *
 * @param tokensIn the tokens of a word on the page.
 * @returns what stops it.
 */
export function followPointer(box: HTMLElement, tokensIn: (word: HTMLElement) => Range, on: Acts): () => void {
  let frame = 0;
  let from: Range | null = null;
  let span: Range | null = null;
  let wasSpanned = false;
  const listening = new AbortController();
  const listen = <K extends "pointerdown" | "pointermove" | "pointerleave" | "click">(
    kind: K,
    heard: (event: HTMLElementEventMap[K]) => void,
  ) => box.addEventListener(kind, heard, listening);
  const at = (target: EventTarget | null): Range | null => {
    const word = target instanceof Element ? target.closest<HTMLElement>("[data-unit]") : null;
    return word && tokensIn(word);
  };
  const soon = (act: () => void) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(act);
  };

  listen("pointerdown", (event) => {
    wasSpanned = false;
    from = event.pointerType !== "touch" && event.button === 0 && !event.shiftKey ? at(event.target) : null;
  });
  listen("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const tokens = at(event.target);
    if (from && tokens && event.buttons === 1 && (span || tokens.from !== from.from)) {
      const reached = spanned(from, tokens);
      span = reached;
      soon(() => on.span(reached));
    } else if (!span) soon(() => on.point(tokens));
  });
  listen("pointerleave", () => soon(() => on.point(null)));
  listen("click", (event) => {
    const tokens = at(event.target);
    if (!tokens || wasSpanned) return;
    cancelAnimationFrame(frame);
    if (event.shiftKey) on.extend(tokens);
    else on.choose(tokens);
  });
  window.addEventListener(
    "pointerup",
    () => {
      from = null;
      if (!span) return;
      cancelAnimationFrame(frame);
      on.hold(span);
      wasSpanned = true;
      span = null;
    },
    listening,
  );
  return () => {
    cancelAnimationFrame(frame);
    listening.abort();
  };
}
