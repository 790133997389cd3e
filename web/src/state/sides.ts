/** The two sides of attention: queries, which attend, and keys, which are attended to. */

import type { Range } from "../content/positions";
import type { Selection } from "./store";

/** A side of attention. */
export type Side = keyof Selection;

/** Tokens of one side. */
export interface Place {
  side: Side;
  tokens: Range;
}

/** The side across. */
export const across = (side: Side): Side => (side === "queries" ? "keys" : "queries");

/** The selection of one place alone. */
export const only = ({ side, tokens }: Place): Selection =>
  side === "queries" ? { queries: tokens, keys: null } : { queries: null, keys: tokens };
