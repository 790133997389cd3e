/** The sentences of the source that the chosen part of the target attends to most, or the other way round. */

import { percent } from "../../content/numbers";
import { type Range, visible } from "../../content/positions";
import type { Pane, Store } from "../../state/store";
import { chosenOf } from "./chosen";
import { PAGE, selectedIn, wholePair } from "./scene";
import { sentencesOf, type Text } from "./texts";

const NAMED = 3;
/** A long sentence is told by its first words. */
const WORDS = 30;

/** The strongest sentences of what is pinned; a click goes there. */
export function Sentences({ store, pane }: { store: Store; pane: Pane }) {
  const reading = pane.reading.value;
  if (reading === null) return null;
  const pair = wholePair(store, pane, reading);
  if (Math.max(sentencesOf(pair.target).length, sentencesOf(pair.source).length) < 2) return null;
  const chosen = selectedIn({ pair }, store.pinned.value);
  const other = chosen.target ? "source" : "target";
  const [text, units] = [pair[other], chosen.target ?? chosen.source];
  if (!units)
    return <p class="soft alignment-sentences">Pin a word or sentence to list what it belongs to most.</p>;
  const { values } = chosen.target ? reading.row(units) : reading.column(units);
  const weigh = ({ from, to }: Range) => values.subarray(from, to).reduce((sum, value) => sum + value, 0);
  // Of a source, the weight on its sentences together; of a target, the mean of their words.
  const share = (range: Range) => weigh(range) / (chosen.target ? 1 : range.to - range.from);
  const strongest = sentencesOf(text)
    .map((range) => ({ range, weight: share(range) }))
    .filter(({ weight }) => weight !== 0)
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight))
    .slice(0, NAMED);
  const go = ({ from }: Range) => {
    chosenOf(pane)[other].value = Math.floor((from - text.units.from) / PAGE) * PAGE;
  };
  return (
    <ol class="alignment-sentences" aria-label="Strongest sentences">
      {strongest.map(({ range, weight }) => (
        <li key={range.from}>
          <button type="button" onClick={() => go(range)}>
            <span class="alignment-share">{percent(weight, reading.signed)}</span>{" "}
            <bdi>{beginning(text, range)}</bdi>
          </button>
        </li>
      ))}
    </ol>
  );
}

function beginning({ positions, unit }: Text, { from, to }: Range): string {
  const labels = Array.from({ length: Math.min(to - from, WORDS) }, (_, place) =>
    visible(positions.label(unit, from + place)),
  );
  return labels.join(" ") + (to - from > WORDS ? " …" : "");
}
