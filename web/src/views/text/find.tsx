/** Finds words, and leads to the strongest weights. */

import { type ReadonlySignal, type Signal, useSignal } from "@preact/signals";
import { only, type Place, type Side } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import { largest } from "../../state/telling";
import { actsOn } from "./acting";
import { matches } from "./finding";
import type { Shade } from "./shade";

/** How many of the strongest weights the buttons lead to. */
const STRONGEST = 100;

/** What the tools are handed. */
interface FindProps {
  store: Store;
  pane: Pane;
  isOne: boolean;
  shade: ReadonlySignal<Shade | null>;
  found: Signal<Place | null>;
}

/** A field to find words with, and buttons to the strongest. */
export function Find(props: FindProps) {
  return (
    <div class="find">
      <Search {...props} />
      <Strongest {...props} />
    </div>
  );
}

function Search({ store, pane, isOne, found }: FindProps) {
  const sought = useSignal("");
  const places = useSignal<readonly Place[]>([]);
  const number = useSignal(0);
  const show = (next: number) => {
    const { length } = places.value;
    number.value = length > 0 ? (next + length) % length : 0;
    found.value = places.value[number.value] ?? null;
  };
  const seek = (text: string) => {
    const sides: Side[] = isOne ? ["keys"] : ["queries", "keys"];
    sought.value = text;
    places.value = sides.flatMap((side) => matches(pane[side].value, text).map((tokens) => ({ side, tokens })));
    show(0);
  };
  const press = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) show(number.value + step);
    else if (event.key === "Enter" && found.value) actsOn(store, found.value.side, isOne).hold(found.value.tokens);
    else if (event.key === "Escape" && sought.value) seek("");
    else return;
    event.preventDefault();
  };
  const says =
    sought.value.trim() === ""
      ? ""
      : places.value.length === 0
        ? "none"
        : `${number.value + 1} of ${places.value.length}`;
  return (
    <search class="tool">
      <input
        id={`find-${pane.id}`}
        type="search"
        aria-label="Find a word; arrow keys go on, Enter pins"
        placeholder="Find a word"
        autocomplete="off"
        value={sought}
        onInput={(event) => seek(event.currentTarget.value)}
        onKeyDown={press}
      />
      <span class="soft count" role="status">
        {says}
      </span>
      <Pair
        name={`find-${pane.id}`}
        what="match"
        disabled={places.value.length < 2}
        step={(step) => show(number.value + step)}
      />
    </search>
  );
}

function Strongest({ store, pane, shade, found }: FindProps) {
  const at = useSignal<{ values: Float32Array | null; rank: number }>({ values: null, rank: -1 });
  const lead = (step: 1 | -1) => {
    const now = shade.peek();
    if (!now) return;
    const { values } = now.line;
    const order = largest(values, STRONGEST);
    if (order.length === 0) return;
    const before = at.value.values === values ? at.value.rank : step > 0 ? -1 : 0;
    const rank = (before + step + order.length) % order.length;
    at.value = { values, rank };
    const tokens = pane[now.side].value.tokensOf(store.options.unit.peek(), order[rank]!);
    found.value = { side: now.side, tokens };
    if (now.chosen) store.pointed.value = { ...only(now.chosen), [now.side]: tokens };
  };
  const isCurrent = at.value.values !== null && at.value.values === shade.value?.line.values;
  return (
    <div class="tool">
      <span class="soft">{isCurrent ? `Strongest: ${at.value.rank + 1}` : "Strongest"}</span>
      <Pair name={`strongest-${pane.id}`} what="strongest word" step={lead} />
    </div>
  );
}

/** Two buttons: back and on. */
function Pair({
  name,
  what,
  disabled = false,
  step,
}: {
  name: string;
  what: string;
  disabled?: boolean;
  step: (step: 1 | -1) => void;
}) {
  return (
    <span class="pair">
      <button
        type="button"
        id={`${name}-previous`}
        aria-label={`Previous ${what}`}
        disabled={disabled}
        onClick={() => step(-1)}
      >
        ‹
      </button>
      <button
        type="button"
        id={`${name}-next`}
        aria-label={`Next ${what}`}
        disabled={disabled}
        onClick={() => step(1)}
      >
        ›
      </button>
    </span>
  );
}
