/** The words of one block, as they stand on the page. */

import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import type { Positions, Unit } from "../../content/positions";
import { type Block, goesOn, named, read, unitsOf } from "./blocks";

/** What a block is handed. */
interface ParagraphProps {
  positions: Positions;
  unit: Unit;
  block: Block;
  /** What the ids of its words begin with. */
  name: string;
}

/** The words of a block; they are made once, whatever is shaded. */
export function Paragraph({ positions, unit, block, name }: ParagraphProps) {
  return useMemo(() => {
    const { from, to } = unitsOf(block, positions, unit);
    return (
      <>
        <span class="place" aria-hidden="true">
          {from}
        </span>
        <div class="paragraph" role="presentation" dir="auto">
          {block.segment ? (
            // biome-ignore lint/a11y/useFocusableInteractive: the list has the focus, and names the active word.
            <span class="word stretch" role="option" id={`${name}-${from}`} data-unit={from} data-to={to}>
              {named(block.segment)}
            </span>
          ) : (
            words(positions, unit, from, to, name)
          )}
        </div>
      </>
    );
  }, [positions, unit, block, name]);
}

/** Units with a space after each word; those of one word stand without one. */
function words(positions: Positions, unit: Unit, from: number, to: number, name: string): ComponentChildren[] {
  const made: ComponentChildren[] = [];
  let joined: ComponentChildren[] = [];
  for (let index = from; index < to; index++) {
    const soft = positions.isSpecial(unit, index) ? " soft-word" : "";
    joined.push(
      // biome-ignore lint/a11y/useFocusableInteractive: the list has the focus, and names the active word.
      <span class={`word${soft}`} role="option" id={`${name}-${index}`} data-unit={index}>
        {read(positions, unit, index)}
      </span>,
    );
    if (index + 1 < to && goesOn(positions, unit, index + 1)) continue;
    made.push(joined.length > 1 ? <span class="joined">{joined}</span> : joined, " ");
    joined = [];
  }
  return made;
}
