/** Heads that are asked for, and the last ones that could be shown: what is drawn stays until the next are decoded. */

import { computed, effect, type ReadonlySignal, signal } from "@preact/signals";
import { type Choice, type Decoded, type Report, sameHead } from "../content/report";

/** Heads that were decoded together, all that is shown of them at once. */
export interface Shown {
  choices: readonly Choice[];
  /** Null where one of them cannot be read. */
  decoded: readonly Decoded[] | null;
  /** Why one of them cannot be read, "" where they can. */
  wrong: string;
}

/** What is shown for what is asked for. */
export interface Followed {
  /** Null until first heads are decoded. */
  shown: ReadonlySignal<Shown | null>;
  /** Whether other heads are asked for than are shown. */
  waiting: ReadonlySignal<boolean>;
}

/** Follows choices for as long as somebody reads what is shown: nothing else is decoded. */
export function followed(report: Report, asked: ReadonlySignal<readonly Choice[]>): Followed {
  let stop = () => {};
  const shown = signal<Shown | null>(null, {
    watched: () => {
      stop = effect(() => {
        const choices = asked.value;
        let isOver = false;
        const show = (decoded: readonly Decoded[] | null, wrong: string) => {
          if (!isOver) shown.value = { choices, decoded, wrong };
        };
        Promise.all(choices.map((choice) => report.decode(choice))).then(
          (decoded) => show(decoded, ""),
          (reason) => show(null, `This head cannot be read: ${reason instanceof Error ? reason.message : reason}`),
        );
        return () => {
          isOver = true;
        };
      });
    },
    unwatched: () => stop(),
  });
  const isAsked = ({ choices }: Shown) =>
    choices.length === asked.value.length && choices.every((each, place) => sameHead(each, asked.value[place]!));
  return { shown, waiting: computed(() => shown.value === null || !isAsked(shown.value)) };
}
