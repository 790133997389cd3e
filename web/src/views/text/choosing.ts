/** Which words are chosen, and what pointing at a word and choosing it select. */

import { same } from "../../content/positions";
import { across, only, type Place, type Side } from "../../state/sides";
import type { Direction, Selection } from "../../state/store";

/** Whether two places are the same. */
export const isSamePlace = (a: Place | null, b: Place | null) =>
  a?.side === b?.side && same(a?.tokens ?? null, b?.tokens ?? null);

/** The side that words are chosen on. */
const chosenSide = (direction: Direction): Side => (direction === "attends to" ? "queries" : "keys");

/** The direction that counts: that of the words that are pinned, else the reader's option. */
export function directionOf(pinned: Selection | null, option: Direction): Direction {
  if (pinned && !pinned.keys) return "attends to";
  if (pinned && !pinned.queries) return "attended by";
  return option;
}

/** The words around which the text is shaded. */
export function chosenOf(selection: Selection | null, direction: Direction): Place | null {
  const first = chosenSide(direction);
  for (const side of [first, across(first)]) {
    const tokens = selection?.[side];
    if (tokens) return { side, tokens };
  }
  return null;
}

/** The words on the other side of a selected weight. */
export function metOf(selection: Selection | null, chosen: Place | null): Place | null {
  const side = chosen && across(chosen.side);
  const tokens = side && selection?.[side];
  return side && tokens ? { side, tokens } : null;
}

/**
 * What pointing selects: beside a pinned word, the weight between the two; else the word itself.
 *
 * @param isOne whether queries and keys are the same text.
 */
export function pointing(at: Place, pinned: Selection | null, direction: Direction, isOne: boolean): Selection {
  const chosen = chosenOf(pinned, direction);
  if (chosen && (isOne || at.side !== chosen.side)) return { ...only(chosen), [across(chosen.side)]: at.tokens };
  return only(placed(at, direction, isOne));
}

/** A place on the side that choosing it chooses: in one text, that of the direction. */
export const placed = (at: Place, direction: Direction, isOne: boolean): Place =>
  isOne ? { side: chosenSide(direction), tokens: at.tokens } : at;

/** The same words chosen for the other direction, where both sides are the same text. */
export const turned = (selection: Selection | null): Selection | null =>
  selection && { queries: selection.keys, keys: selection.queries };
