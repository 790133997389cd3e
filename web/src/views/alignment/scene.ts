/** What is drawn, and where it stands. */

import { largestSize } from "../../content/numbers";
import type { Range } from "../../content/positions";
import type { Reading } from "../../content/reading";
import type { Shading } from "../../drawing/colors";
import { widthOf } from "../../drawing/measuring";
import { shadingHere, washing } from "../../drawing/washing";
import { panesOf, reachOf } from "../../state/linked";
import type { Pane, Selection, Store } from "../../state/store";
import { chosenOf } from "./chosen";
import { type Laid, LETTERS, LINE, laid } from "./layout";
import { type Aligned, aligned } from "./pairs";
import { type Pair, pairOf, part, type Sides, type Text } from "./texts";

/** Of longer texts, this many units are shown at a time. */
export const PAGE = 600;
/** The height of a text's name. */
export const NAME = 22;
/** Texts of more lines stand below one another, and weights are shown by shading alone. */
const MOST_LINES = 2;
const ACROSS = 110;
const APART = 14;

/** All that the drawing stands on. */
export interface Scene {
  reading: Reading;
  shades: Shading;
  /** The colours of words of which just these weights are shown. */
  shadesOf(values: Float32Array): Shading;
  pair: Pair;
  target: Laid;
  source: Laid;
  /** Where the names of the texts stand. */
  names: readonly { text: string; y: number }[];
  /** Words that belong together; none where weights are shown by shading alone. */
  pairs: readonly Aligned[] | null;
  width: number;
  height: number;
}

/** Both sides of a pane. */
export const sidesOf = (pane: Pane): Sides => ({
  kind: pane.group.value.kind,
  queries: pane.queries.value,
  keys: pane.keys.value,
});

/** The two texts of a pane, whole. */
export function wholePair(store: Store, pane: Pane, reading: Reading): Pair {
  const { swapped } = chosenOf(pane);
  const unit = store.options.unit.value;
  const first = pairOf(sidesOf(pane), unit, false);
  const turned = pane.group.value.kind === "self" && (swapped.value ?? isEmpty(reading, first));
  return turned ? pairOf(sidesOf(pane), unit, true) : first;
}

/** The part of the two texts that is shown. */
function shownPair(store: Store, pane: Pane, reading: Reading): Pair {
  const { target, source } = chosenOf(pane);
  const whole = wholePair(store, pane, reading);
  return { target: part(whole.target, target.value, PAGE), source: part(whole.source, source.value, PAGE) };
}

/** Whether no weight lies between the two texts, as where a model sees only what comes before. */
const isEmpty = (reading: Reading, { target, source }: Pair) =>
  reading.spot(target.units, source.units).max === 0 && !reading.signed;

/** The scene for a width; null while the weights are being decoded. */
export function sceneOf(store: Store, pane: Pane, width: number): Scene | null {
  const reading = pane.reading.value;
  if (reading === null) return null;
  const { rule } = chosenOf(pane);
  const pair = shownPair(store, pane, reading);
  const lies = (text: Text, top: number) => laid(text, width, top, (label) => widthOf(label, LETTERS));
  const lines = { target: lies(pair.target, 0).lines, source: lies(pair.source, 0).lines };
  const across = lines.target <= MOST_LINES && lines.source <= MOST_LINES;
  const { palette, scale, least } = store.options;
  const largest = reachOf(store, largestIn);
  const isAlone = panesOf(store).length === 1;
  const [upper, lower] = across ? (["source", "target"] as const) : (["target", "source"] as const);
  const below = NAME + lines[upper] * LINE + (across ? ACROSS : APART);
  const names = namesOf(pane);
  // Where lines join the texts, the lower one has its name below it.
  const top = across ? below : below + NAME;
  return {
    reading,
    shades: shadingHere(palette.value, scale.value, largest, reading.signed),
    shadesOf: (values) =>
      washing(scale.value, isAlone ? reachOf(store, () => largestSize(values)) : largest, reading.signed),
    pair,
    ...({ [upper]: lies(pair[upper], NAME), [lower]: lies(pair[lower], top) } as Pick<Scene, "target" | "source">),
    names: [
      { text: across ? names[upper] : `${names[upper]}: point at a word for its weights`, y: NAME / 2 - 2 },
      { text: names[lower], y: across ? top + lines[lower] * LINE + NAME / 2 - 4 : below + NAME / 2 - 2 },
    ],
    pairs: across ? aligned(reading, pair, rule.value, least.value) : null,
    width,
    height: top + lines[lower] * LINE + (across ? NAME : 4),
  };
}

/** How the two texts are called. */
export const namesOf = (pane: Pane) =>
  pane.group.value.kind === "cross"
    ? { target: "Target (queries)", source: "Source (keys)" }
    : { target: "Attends (queries)", source: "Is attended to (keys)" };

/** The selected units of each text; tokens outside of them do not count. */
export function selectedIn({ pair }: Pick<Scene, "pair">, selection: Selection | null) {
  const within = ({ side, positions, unit, units }: Text): Range | null => {
    const tokens = selection?.[side];
    if (!tokens) return null;
    const chosen = positions.unitsOf(unit, tokens);
    const both = { from: Math.max(chosen.from, units.from), to: Math.min(chosen.to, units.to) };
    return both.from < both.to ? both : null;
  };
  return { target: within(pair.target), source: within(pair.source) };
}

function largestIn(store: Store, pane: Pane): number {
  const reading = pane.reading.value;
  if (reading === null) return 0;
  const { target, source } = shownPair(store, pane, reading);
  let best = 0;
  for (let query = target.units.from; query < target.units.to; query++) {
    const { values } = reading.row({ from: query, to: query + 1 });
    best = Math.max(best, largestSize(values.subarray(source.units.from, source.units.to)));
  }
  return best;
}
