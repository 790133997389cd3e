/** The numbers that stand beside heads: one of a head, all of a group, and the heads in their order. */

import type { Group } from "../../content/schema";

/** A head within its group. */
export interface Place {
  layer: number;
  head: number;
}

/** Whether two places are the same. */
export const samePlace = (a: Place | null, b: Place | null) => a?.layer === b?.layer && a?.head === b?.head;

/** The heads of a group, layer by layer. */
export const placesOf = (group: Group): Place[] =>
  group.layers.flatMap(({ heads }, layer) => heads.map((_, head) => ({ layer, head })));

/** A statistic of a head; null where it was not measured, or is none of the group's. */
export function statisticOf(group: Group, statistic: string, { layer, head }: Place): number | null {
  return group.layers[layer]?.heads[head]?.facts[group.facts.indexOf(statistic)] ?? null;
}

/** The heads of a group, those with the largest statistic first, those without one last. */
export function sortedPlaces(group: Group, statistic: string): Place[] {
  const size = (place: Place) => statisticOf(group, statistic, place) ?? Number.NEGATIVE_INFINITY;
  return placesOf(group)
    .map((place) => ({ place, size: size(place) }))
    .sort((a, b) => (a.size === b.size ? 0 : b.size - a.size))
    .map(({ place }) => place);
}

/** The largest statistic among the heads of groups, 0 where none is larger. */
export function largestStatistic(groups: readonly Group[], statistic: string): number {
  let largest = 0;
  for (const group of groups)
    for (const place of placesOf(group)) largest = Math.max(largest, statisticOf(group, statistic, place) ?? 0);
  return largest;
}

/** What is offered to sort or colour by: every statistic of the groups, each once. */
export const statisticsOf = (groups: readonly Group[]): string[] => [
  ...new Set(groups.flatMap(({ facts }) => facts)),
];

/** The unit of a statistic, "" for shares. */
export const unitOf = (groups: readonly Group[], statistic: string): string =>
  groups.map(({ units }) => units[statistic]).find((unit) => unit !== undefined) ?? "";

/** How many heads there are of each kind in each group, the most frequent kind first. */
export function kindsOf(groups: readonly Group[]): [kind: string, counts: readonly number[]][] {
  const counts = new Map<string, number[]>();
  for (const [place, group] of groups.entries())
    for (const { heads } of group.layers)
      for (const { kind } of heads) {
        const known = counts.get(kind) ?? groups.map(() => 0);
        known[place]!++;
        counts.set(kind, known);
      }
  const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
  return [...counts].sort(([, a], [, b]) => sum(b) - sum(a));
}
