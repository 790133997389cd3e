/** The heads of one group: a drawing of what is seen of them, and a button over each. */

import { useComputed, useSignal } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { placeName } from "../../content/naming";
import type { Choice } from "../../content/report";
import { Drawn } from "../../drawing/drawn";
import type { Pen } from "../../drawing/pen";
import type { Store } from "../../state/store";
import { factsOf } from "./facts";
import { type Layout, neighbour } from "./layout";
import { paint } from "./painting";
import { laidOut, pictureOf, thumbnailsOf } from "./picture";
import { chosenOf, looked, markedOf, type Side, take } from "./state";
import type { Place } from "./statistics";

const NAME = (place: Place) => `${place.layer},${place.head}`;

/** The heads of a side. */
export function Heads({ store, side }: { store: Store; side: Side }) {
  const scroller = useRef<HTMLDivElement>(null);
  const room = useSignal(0);
  const seen = useSignal({ x: 0, y: 0, height: 0 });
  const group = useComputed(() => store.report.group(chosenOf(store, side)));
  const layout = useComputed(() => laidOut(store, group.value, room.value));
  const thumbnails = useComputed(() => thumbnailsOf(store, group.value));
  const draw = (pen: Pen) => {
    const { x, y } = seen.value;
    if (thumbnails.value === null) return;
    const picture = pictureOf(store, side, layout.value, thumbnails.value);
    paint(pen, picture, { x, y, width: pen.width, height: pen.height }, window.devicePixelRatio || 1);
  };
  const look = () => {
    const { scrollLeft: x, scrollTop: y, clientHeight: height } = scroller.current!;
    seen.value = { x, y, height };
  };
  // Passive effects end only after the next paint, when what is observed has shrunk to nothing already.
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => {
      room.value = scroller.current!.clientWidth;
      look();
    });
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, []);
  const { fullWidth, fullHeight } = layout.value;
  const chosen = chosenOf(store, side);
  return (
    <div class="heads-scroll" ref={scroller} data-side={side} onScroll={look}>
      <div class="heads-sheet" style={{ width: `${fullWidth}px`, height: `${fullHeight}px` }}>
        <div class="heads-seen" style={{ width: `${room.value}px` }}>
          <Drawn
            label=""
            height={() => Math.min(layout.value.fullHeight, seen.value.height)}
            draw={draw}
            aria-hidden
          />
        </div>
        {room.value > 0 && (
          <Buttons
            store={store}
            side={side}
            layout={layout.value}
            key={`${chosen.run}.${chosen.group}`}
            scroller={scroller}
          />
        )}
      </div>
    </div>
  );
}

interface ButtonsProps {
  store: Store;
  side: Side;
  layout: Layout;
  scroller: { current: HTMLDivElement | null };
}

/** A button over each head; which one is chosen is written onto the few that change. */
function Buttons({ store, side, layout, scroller }: ButtonsProps) {
  const root = useRef<HTMLDivElement>(null);
  const chosen = chosenOf(store, side);
  const marks = markedOf(store, side);
  const group = store.report.group(chosen);
  const at = (place: Place) => root.current!.querySelector<HTMLElement>(`[data-at="${NAME(place)}"]`);
  const buttons = useMemo(
    () =>
      layout.cells.map((cell) => (
        <button
          type="button"
          key={NAME(cell)}
          data-at={NAME(cell)}
          aria-label={`${placeName(group, cell)}: ${group.layers[cell.layer]!.heads[cell.head]!.kind}`}
          style={{
            left: `${cell.x}px`,
            top: `${cell.y}px`,
            width: `${layout.width}px`,
            height: `${layout.height}px`,
          }}
        />
      )),
    [layout, group],
  );
  useLayoutEffect(() => {
    for (const button of root.current!.querySelectorAll<HTMLElement>("[data-mark]")) delete button.dataset.mark;
    for (const { letter, ...place } of marks) {
      const button = at(place);
      if (button && letter) button.dataset.mark = letter.trim() || "together";
    }
    for (const button of root.current!.querySelectorAll("[aria-pressed=true], :not([aria-pressed])"))
      button.setAttribute("aria-pressed", "false");
    at(chosen)?.setAttribute("aria-pressed", "true");
    enter(at(chosen));
    reveal(scroller.current!, layout, chosen);
  }, [layout, chosen, JSON.stringify(marks)]);
  const enter = (button: HTMLElement | null) => {
    for (const before of root.current!.querySelectorAll("[tabindex='0'], :not([tabindex])"))
      before.setAttribute("tabindex", "-1");
    button?.setAttribute("tabindex", "0");
  };
  const headAt = (target: EventTarget | null): Choice | null => {
    const name = target instanceof HTMLElement ? target.dataset.at : undefined;
    if (name === undefined) return null;
    const [layer, head] = name.split(",").map(Number) as [number, number];
    return { run: chosen.run, group: chosen.group, layer, head };
  };
  const takeAt = (event: MouseEvent | KeyboardEvent) => {
    const head = headAt(event.target);
    const held = { add: event.shiftKey || event.ctrlKey || event.metaKey, compare: event.altKey };
    if (head) take(store, side, head, held);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would bring looks of its own
    <div
      class="heads-buttons"
      ref={root}
      role="group"
      aria-label={`Heads of ${group.name}`}
      onClick={takeAt}
      onPointerOver={(event) => {
        looked.value = headAt(event.target);
        if (event.target instanceof HTMLElement && looked.value)
          event.target.title ||= titleOf(store, looked.value);
      }}
      onPointerLeave={() => {
        looked.value = null;
      }}
      onFocusIn={(event) => {
        looked.value = headAt(event.target);
      }}
      onFocusOut={() => {
        looked.value = null;
      }}
      onKeyDown={(event) => {
        const from = headAt(event.target);
        if (event.key === "Enter" || event.key === " ") takeAt(event);
        else {
          const to = from && neighbour(layout, from, event.key);
          if (!to) return;
          enter(at(to));
          at(to)?.focus();
        }
        event.preventDefault();
      }}
    >
      {buttons}
    </div>
  );
}

function titleOf(store: Store, head: Choice): string {
  const facts = factsOf(store.report.group(head), head).map(({ name, told }) => `${name}: ${told}`);
  return [store.title(head), store.report.layer(head).name, ...facts].join("\n");
}

/** Scrolls the grid, and not the page, so far that a head is seen. */
function reveal(scroller: HTMLElement, { cells, gutter, top, width, height }: Layout, place: Place): void {
  const cell = cells.find(({ layer, head }) => layer === place.layer && head === place.head);
  if (!cell) return;
  const { scrollLeft, scrollTop, clientWidth, clientHeight } = scroller;
  scroller.scrollLeft = Math.min(cell.x - gutter, Math.max(cell.x + width - clientWidth, scrollLeft));
  scroller.scrollTop = Math.min(cell.y - top, Math.max(cell.y + height - clientHeight, scrollTop));
}
