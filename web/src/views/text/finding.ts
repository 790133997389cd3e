/** Finds words in a text. */

import type { Positions, Range } from "../../content/positions";

/** Where words stand that hold what is sought, in tokens; of several sought words, each in its turn. */
export function matches(positions: Positions, sought: string): Range[] {
  const parts = sought.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  if (parts.length === 0) return [];
  const words = positions.words.map((word) => word.toLocaleLowerCase());
  const found: Range[] = [];
  for (let first = 0; first + parts.length <= words.length; first++)
    if (parts.every((part, place) => words[first + place]!.includes(part)))
      found.push({ from: positions.starts[first]!, to: positions.starts[first + parts.length]! });
  return found;
}
