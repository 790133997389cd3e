/** What scrolls, points and is driven by keys over one column of words. */

import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { visible } from "../../content/positions";
import { across, only, type Side } from "../../state/sides";
import type { Pane, Selection, Store } from "../../state/store";
import { spanned } from "../../state/telling";
import { ROW } from "./scene";
import { scrolledOf } from "./scrolled";

const PAGE = 10;

interface ColumnProps {
  store: Store;
  pane: Pane;
  side: Side;
  height: number;
}

/** One column, laid over the half of the drawing that shows it. */
export function ColumnOver({ store, pane, side, height }: ColumnProps) {
  const element = useRef<HTMLDivElement>(null);
  const scrolled = scrolledOf(pane);
  const active = useSignal<number | null>(null);
  const unit = store.options.unit.value;
  const positions = pane[side].value;
  const count = positions.count(unit);
  const id = `lines-${pane.id}-${side}`;

  useSignalEffect(() => {
    const asked = scrolled[side].value;
    if (element.current && Math.abs(element.current.scrollTop - asked) > 1) element.current.scrollTop = asked;
  });
  useEffect(() => {
    // What was pinned in another view is brought into sight.
    const pinned = store.pinned.peek()?.[side];
    if (pinned) reveal(positions.unitOf(unit, pinned.from));
  }, []);

  const moved = () => {
    const top = element.current!.scrollTop;
    scrolled[side].value = top;
    if (scrolled.linked.peek()) scrolled[across(side)].value = top;
  };
  const reveal = (index: number) => {
    const [top, room] = [index * ROW, height - ROW];
    const before = scrolled[side].peek();
    const now = top < before ? top : top > before + room ? top - room : before;
    if (now !== before) element.current!.scrollTop = now;
  };
  const selection = (index: number, extend: boolean): Selection => {
    const tokens = positions.tokensOf(unit, index);
    return only({ side, tokens: extend ? spanned(store.pinned.peek()?.[side] ?? null, tokens) : tokens });
  };
  const indexAt = (event: MouseEvent): number | null => {
    const box = element.current!;
    const index = Math.floor((event.clientY - box.getBoundingClientRect().top + box.scrollTop) / ROW);
    return index >= 0 && index < count ? index : null;
  };
  const point = (index: number | null) => {
    active.value = index;
    store.pointed.value = index === null ? null : selection(index, false);
  };
  const pin = (extend: boolean) => {
    if (active.value !== null) store.pin(selection(active.value, extend));
  };
  const press = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE };
    const ends: Record<string, number> = { Home: 0, End: count - 1 };
    const now = active.value ?? Math.ceil(scrolled[side].value / ROW) - 1;
    if (event.key in steps || event.key in ends) {
      const index = Math.max(0, Math.min(count - 1, ends[event.key] ?? now + steps[event.key]!));
      reveal(index);
      point(index);
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight")
      document.getElementById(`lines-${pane.id}-${event.key === "ArrowLeft" ? "queries" : "keys"}`)?.focus();
    else if (event.key === "Enter" || event.key === " ") pin(event.shiftKey);
    else {
      if (event.key === "Escape") active.value = null;
      return;
    }
    event.preventDefault();
  };
  return (
    <div
      ref={element}
      id={id}
      class="lines-column"
      data-side={side}
      role="listbox"
      tabIndex={0}
      aria-label={`${side === "queries" ? "Queries" : "Keys"}: arrows move, Enter pins, Escape lets go`}
      aria-activedescendant={active.value === null ? undefined : `${id}-active`}
      onScroll={moved}
      onPointerMove={(event) => point(indexAt(event))}
      onPointerLeave={() => point(null)}
      onBlur={() => point(null)}
      onClick={(event) => {
        active.value = indexAt(event);
        pin(event.shiftKey);
      }}
      onKeyDown={press}
    >
      <div class="lines-length" style={{ height: `${count * ROW}px` }}>
        {active.value !== null && (
          <span role="option" id={`${id}-active`} aria-selected="true" tabIndex={-1} class="lines-active">
            {visible(positions.label(unit, active.value))}
          </span>
        )}
      </div>
    </div>
  );
}
