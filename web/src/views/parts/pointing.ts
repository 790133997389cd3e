/** What pointer and keys do on a canvas: pointing selects, a click or Enter pins, arrows move. */

import type { TargetedKeyboardEvent, TargetedMouseEvent, TargetedPointerEvent } from "preact";
import type { Selection, Store } from "../../state/store";
import { spanned } from "../../state/telling";

/** What lies where on a canvas. */
export interface Field {
  /** What is selected by pointing there, in pixels of a canvas of that width. */
  at(x: number, y: number, width: number): Selection | null;
  /** Where an arrow key leads to. */
  step(arrow: Arrow): Selection | null;
  /** Whether a click with shift spans from what is pinned. */
  spans?: boolean;
}

/** A step of an arrow key. */
export type Arrow = readonly [right: number, down: number];

const ARROWS: Record<string, Arrow> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

// There is one pointer, so one frame is waited for at most.
let frame = 0;

/** The properties that make a canvas answer pointer and keys. */
export function pointing(store: Store, field: Field) {
  const found = (event: TargetedMouseEvent<HTMLCanvasElement>) => {
    const { left, top, width } = event.currentTarget.getBoundingClientRect();
    return field.at(event.clientX - left, event.clientY - top, width);
  };
  const later = (selection: Selection | null) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      store.pointed.value = selection;
    });
  };
  return {
    tabIndex: 0,
    role: "application" as const,
    onPointerMove: (event: TargetedPointerEvent<HTMLCanvasElement>) => later(found(event)),
    onPointerLeave: () => later(null),
    onClick: (event: TargetedMouseEvent<HTMLCanvasElement>) => {
      cancelAnimationFrame(frame);
      const selection = found(event);
      if (selection) store.pin(event.shiftKey && field.spans ? joined(store.pinned.peek(), selection) : selection);
    },
    onKeyDown: (event: TargetedKeyboardEvent<HTMLCanvasElement>) => {
      const [arrow, selection] = [ARROWS[event.key], store.pointed.peek()];
      if (arrow) store.pointed.value = field.step(arrow);
      else if (event.key === "Enter" && selection) store.pin(selection);
      else return;
      event.preventDefault();
    },
  };
}

/** What is pinned, up to what is clicked. */
function joined(pinned: Selection | null, clicked: Selection): Selection {
  return {
    queries: clicked.queries && spanned(pinned?.queries ?? null, clicked.queries),
    keys: clicked.keys && spanned(pinned?.keys ?? null, clicked.keys),
  };
}
