/** What pointing at words and choosing them does to the one selection of the page. */

import type { Range } from "../../content/positions";
import { only, type Side } from "../../state/sides";
import type { Store } from "../../state/store";
import { spanned } from "../../state/telling";
import { chosenOf, directionOf, placed, pointing } from "./choosing";

/** What a reader can do to words; ranges are tokens. */
export interface Acts {
  point(tokens: Range | null): void;
  /** Points at words as if they were chosen, while they are being spanned. */
  span(tokens: Range): void;
  /** Pins words, or lets go of them where they were pinned. */
  choose(tokens: Range): void;
  /** Pins words, whether or not they were pinned. */
  hold(tokens: Range): void;
  /** Pins all from the words that are pinned to these. */
  extend(tokens: Range): void;
}

/** The acts on one side. */
export function actsOn(store: Store, side: Side, isOne: boolean): Acts {
  const direction = () => directionOf(store.pinned.peek(), store.options.direction.peek());
  const alone = (tokens: Range) => only(placed({ side, tokens }, direction(), isOne));
  const acts: Acts = {
    point: (tokens) => {
      store.pointed.value = tokens && pointing({ side, tokens }, store.pinned.peek(), direction(), isOne);
    },
    span: (tokens) => {
      store.pointed.value = alone(tokens);
    },
    choose: (tokens) => store.pin(alone(tokens)),
    hold: (tokens) => {
      store.pinned.value = alone(tokens);
      store.pointed.value = null;
    },
    extend: (tokens) => {
      const chosen = chosenOf(store.pinned.peek(), direction());
      const from = chosen && (isOne || chosen.side === side) ? chosen.tokens : null;
      acts.hold(spanned(from, tokens));
    },
  };
  return acts;
}
