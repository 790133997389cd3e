/** One text to read: shaded or chosen from, pointed at, walked through by keys. */

import { effect, type ReadonlySignal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Place, Side } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import { actsOn } from "./acting";
import { chosenOf, directionOf } from "./choosing";
import { followKeys } from "./keys";
import { centre, isInSight } from "./moving";
import { paint } from "./paint";
import { Paragraph } from "./paragraph";
import { followPointer } from "./pointing";
import { type Shade, type Shown, unitsIn } from "./shade";
import { Standing } from "./standing";
import { Strip } from "./strip";
import { useWindow } from "./window";

/** What a sheet is handed. */
interface SheetProps {
  store: Store;
  pane: Pane;
  side: Side;
  /** Whether it stands for both sides, which are the same text. */
  isOne: boolean;
  shown: Shown;
  /** A place that the reader looks for. */
  found: ReadonlySignal<Place | null>;
  /** What a screen reader says it is. */
  label: string;
}

/** A text. */
export function Sheet({ store, pane, side, isOne, shown, found, label }: SheetProps) {
  const box = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const stop = useRef(() => {});
  const sight = useSignal({ from: 0, to: 1 });
  const overflows = useSignal(false);
  const positions = pane[side].value;
  const unit = store.options.unit.value;
  const name = `text-${pane.id}-${side}`;
  const standing = useMemo(() => new Standing(positions, unit, name), [positions, unit, name]);
  const isHere = useMemo(() => (on: Place | Shade) => isOne || on.side === side, [isOne, side]);

  const blocks = useWindow(box, standing.blocks, () => {
    const share = (offset: number) => {
      const item = blocks.getVirtualItemForOffset(offset);
      return item ? standing.share(item.index, (offset - item.start) / Math.max(1, item.size)) : 0;
    };
    const from = blocks.scrollOffset ?? 0;
    sight.value = { from: share(from), to: share(from + (blocks.scrollRect?.height ?? 0)) };
  });

  const colour = () => {
    const units = (place: Place | null) => unitsIn(place, side, isOne, positions, unit);
    const [shade, met, sought] = [shown.shade.value, shown.met.value, found.value];
    if (!frame.current) return;
    paint(frame.current, shade && isHere(shade) ? shade : null, {
      chosen: units(shade?.chosen ?? null),
      met: units(met),
      found: units(sought),
    });
  };
  useEffect(() => effect(colour), [standing, shown, isOne]);
  useLayoutEffect(() => {
    colour();
    overflows.value = box.current!.scrollHeight > box.current!.clientHeight;
  });

  const go = (token: number) => {
    stop.current();
    const block = standing.blockOf(token);
    stop.current = centre(box.current!, blocks, block, () => standing.element(token));
  };
  useEffect(() => {
    const pinned = () =>
      chosenOf(store.pinned.value, directionOf(store.pinned.value, store.options.direction.value));
    const follow = (place: () => Place | null) => () => {
      const now = place();
      const token = now && isHere(now) ? now.tokens.from : positions.tokens;
      if (token < positions.tokens && !isInSight(box.current!, standing.element(token))) go(token);
    };
    const acts = actsOn(store, side, isOne);
    const stops = [
      effect(follow(pinned)),
      effect(follow(() => found.value)),
      followPointer(box.current!, (word) => standing.tokensIn(word), acts),
      followKeys({
        ...{ box: box.current!, standing, acts, go },
        start: () => standing.tokenAt(sight.peek().from),
        pinned: () => {
          const place = pinned();
          return place && isHere(place) ? place.tokens : null;
        },
      }),
      () => stop.current(),
    ];
    return () => {
      for (const each of stops) each();
    };
  }, [standing, store, side, isOne]);

  return (
    <div class="sheet" ref={frame} data-side={isOne ? "both" : side} data-blocks={standing.blocks.length}>
      <div class="box" ref={box} tabIndex={0} role="listbox" aria-label={label} aria-multiselectable="true">
        <div class="whole" role="presentation" style={{ height: `${blocks.getTotalSize()}px` }}>
          {blocks.getVirtualItems().map(({ index, start }) => (
            <div
              key={index}
              data-index={index}
              ref={blocks.measureElement}
              class="block"
              role="presentation"
              style={{ transform: `translateY(${start}px)` }}
            >
              <Paragraph positions={positions} unit={unit} block={standing.blocks[index]!} name={name} />
            </div>
          ))}
        </div>
      </div>
      {overflows.value && (
        <Strip shade={shown.shade} isShaded={isHere} sight={sight} jump={(share) => go(standing.tokenAt(share))} />
      )}
    </div>
  );
}
