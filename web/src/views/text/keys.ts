/** Walks through a text by keys: word by word, line by line, choosing and spanning. */

import type { Range } from "../../content/positions";
import { spanned } from "../../state/telling";
import type { Acts } from "./acting";
import { inNextLine, nudge } from "./moving";
import type { Standing } from "./standing";

/** What a walk through a text needs. */
interface Ways {
  box: HTMLElement;
  standing: Standing;
  acts: Acts;
  /** Where to begin, as a token. */
  start: () => number;
  /** The words that are pinned here. */
  pinned: () => Range | null;
  /** Brings a token's word into sight that does not stand on the page. */
  go: (token: number) => void;
}

/** Follows keys in a text; returns what stops it. */
export function followKeys({ box, standing, acts, start, pinned, go }: Ways): () => void {
  let here: number | null = null;
  let spanFrom: Range | null = null;
  const tokensAt = (token: number) => standing.positions.tokensIn(standing.unit, standing.unitsAt(token));
  const stand = (token: number) => {
    here = token;
    box.setAttribute("aria-activedescendant", standing.id(token));
    if (!nudge(box, standing.element(token))) go(token);
  };
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = here ?? start();
    if (event.key === "Enter" || event.key === " ") acts.choose(tokensAt(now));
    else {
      const unit = reached(event.key, standing, now, box);
      if (unit === null) return;
      const next = tokensAt(standing.positions.tokensOf(standing.unit, unit).from);
      stand(next.from);
      spanFrom = event.shiftKey ? (spanFrom ?? pinned() ?? tokensAt(now)) : null;
      if (spanFrom) acts.hold(spanned(spanFrom, next));
      else acts.point(next);
    }
    event.preventDefault();
  };
  const listening = new AbortController();
  box.addEventListener("keydown", press, listening);
  box.addEventListener("blur", () => acts.point(null), listening);
  box.addEventListener(
    "focus",
    () => {
      if (!box.matches(":focus-visible")) return;
      stand(here ?? start());
      acts.point(tokensAt(here ?? start()));
    },
    listening,
  );
  box.addEventListener(
    "click",
    ({ target }) => {
      const word = target instanceof Element ? target.closest<HTMLElement>("[data-unit]") : null;
      if (word) here = standing.tokensIn(word).from;
    },
    listening,
  );
  return () => listening.abort();
}

/** The unit that a key leads to from a token; null: the key leads nowhere. */
function reached(key: string, standing: Standing, from: number, box: HTMLElement): number | null {
  const { count } = standing;
  const here = standing.unitsAt(from);
  const word = standing.element(from);
  const isRightToLeft = word !== null && getComputedStyle(word.closest(".paragraph") ?? word).direction === "rtl";
  const line = (step: 1 | -1) => {
    const next = word && inNextLine(box, word, step);
    return next ? Number(next.dataset.unit) : here.from;
  };
  const back = Math.max(0, here.from - 1);
  const on = Math.min(count - 1, here.to);
  switch (key) {
    case "ArrowLeft":
      return isRightToLeft ? on : back;
    case "ArrowRight":
      return isRightToLeft ? back : on;
    case "ArrowUp":
      return line(-1);
    case "ArrowDown":
      return line(1);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}
