/** What the contact view shows of a head: scores, the strongest pairs, and how many of them are known to touch. */

import { percent } from "../../content/numbers";
import type { Reading } from "../../content/reading";
import { oneOf, setting, within } from "../../state/settings";
import type { Pane, Store } from "../../state/store";
import { Residues } from "./residues";
import { corrected, type Pair, precisions, type Scores, strongest, strongestOfLinks, symmetric } from "./scores";

/** Whether the average product correction is made. */
export const correction = setting("correction", false, oneOf(false, true));
/** How many pairs are shown, as a share of the residues. */
export const pairsAResidue = setting("pairs", 1, within(0.1, 2));

/** Pairs of a chain that are nearer than this touch anyway. */
export const APART = 6;
/** A map has at most this many pixels a side. */
const MOST = 2048;

/** What the view shows. */
export interface Scene {
  residues: Residues;
  reading: Reading;
  /** The unit of each residue. */
  units: Uint32Array;
  /** Scores of evenly spread residues, all of them where there are few. */
  scores: Scores;
  /** Whether every pair's score is known. */
  exact: boolean;
  signed: boolean;
  pairs: readonly Pair[];
  /** What is known of the pairs, in words. */
  says: string;
}

/** The residues that stand on both sides; null where the sides differ. */
export function residuesOf(pane: Pane): Residues | null {
  const [queries, keys] = [pane.queries.value, pane.keys.value];
  const chains = keys.segmentsOf("residues");
  const others = queries.segmentsOf("residues");
  const isSame =
    chains.length === others.length &&
    chains.every(({ start, stop }, place) => start === others[place]!.start && stop === others[place]!.stop);
  return chains.length > 0 && isSame ? new Residues(keys, chains) : null;
}

/** The scores of a head; null while it is decoded. */
export function scoredOf(store: Store, pane: Pane) {
  const [reading, residues] = [pane.reading.value, residuesOf(pane)];
  if (reading === null || residues === null) return null;
  const units = residues.units(store.options.unit.value);
  const isWhole = reading.exact && units.length <= MOST;
  const plain = symmetric(reading.grid(), isWhole ? units : spread(units));
  const scores = isWhole && correction.value && !reading.signed ? corrected(plain) : plain;
  return { reading, residues, units, isWhole, scores };
}

/** The scene of a head; null while it is decoded. */
export function sceneOf(store: Store, pane: Pane): Scene | null {
  const scored = scoredOf(store, pane);
  if (scored === null) return null;
  const { reading, residues, units, isWhole, scores } = scored;
  const { signed } = reading;
  const ranked = ranking(reading, scores, units, isWhole);
  const isApart = (a: number, b: number) => Math.abs(a - b) >= APART || residues.chainOf(a) !== residues.chainOf(b);
  const pairs = ranked(isApart, Math.max(1, Math.round(pairsAResidue.value * residues.count)));
  return {
    ...{ residues, reading, units, scores },
    exact: isWhole,
    signed,
    pairs,
    says: signed ? "" : precision(residues, ranked, isWhole),
  };
}

type Ranking = (isAllowed: (a: number, b: number) => boolean, count: number) => Pair[];

function ranking(reading: Reading, scores: Scores, units: Uint32Array, isWhole: boolean): Ranking {
  // A correction can leave less than nothing, which is no strong pair; a difference can.
  const size = reading.signed ? Math.abs : (score: number) => score;
  if (isWhole) return (isAllowed, count) => strongest(scores, isAllowed, count, size);
  const residues = new Map(Array.from(units, (unit, residue) => [unit, residue]));
  const links = reading.links();
  return (isAllowed, count) => strongestOfLinks(links, residues, isAllowed, count);
}

function precision(residues: Residues, ranked: Ranking, isWhole: boolean): string {
  if (!residues.isKnown) return "";
  const isKnown = (a: number, b: number) => Math.abs(a - b) >= APART && residues.touch(a, b) !== null;
  const touch = (a: number, b: number) => residues.touch(a, b) === true;
  const found = precisions(ranked(isKnown, residues.known), residues.known, touch);
  if (found.length === 0) return "";
  const parts = found.map(({ name, pairs, share }) => `${name} (${pairs}) ${percent(share)}`);
  const chance = isWhole ? `; by chance ${percent(byChance(residues, isKnown))}` : "";
  return `Precision of the strongest pairs at least ${APART} apart: ${parts.join(", ")}${chance}`;
}

/** The share of pairs that touch. */
function byChance(residues: Residues, isKnown: (a: number, b: number) => boolean): number {
  let [touching, all] = [0, 0];
  for (let a = 0; a < residues.count; a++)
    for (let b = a + APART; b < residues.count; b++) {
      if (!isKnown(a, b)) continue;
      all++;
      if (residues.touch(a, b)) touching++;
    }
  return touching / Math.max(1, all);
}

/** Units evenly spread, as many as a map has room for. */
function spread(units: Uint32Array): Uint32Array {
  const count = Math.min(units.length, 512);
  return Uint32Array.from(
    { length: count },
    (_, place) => units[Math.floor(((place + 0.5) * units.length) / count)]!,
  );
}
