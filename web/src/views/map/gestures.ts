/** Wheel, pinch, drag and double click: all that moves a map or makes it larger. */

import { select } from "d3-selection";
import { type D3ZoomEvent, type ZoomTransform, zoom, zoomIdentity } from "d3-zoom";
import type { Layout } from "./layout";
import { dragged, type Window } from "./window";

/** How large a unit is drawn at most, in pixels. */
const LARGEST = 80;

/** What gestures ask and change. */
export interface Field {
  layout(): Layout;
  size(): { queries: number; keys: number };
  window: { get(): Window; set(window: Window): void };
}

/** Whether all of a map is seen. */
export function isWhole({ size, window }: Field): boolean {
  const { queries, keys } = window.get();
  return queries.to - queries.from >= size().queries && keys.to - keys.from >= size().keys;
}

/** Moves everything from pixel p to pixel `factor` p + `shift`, on both sides. */
export function move(field: Field, factor: number, shift: { x: number; y: number }): void {
  const { queries, keys } = field.window.get();
  const { left, top, plotWidth, plotHeight } = field.layout();
  const size = field.size();
  const [right, down] = [shift.x + (factor - 1) * left, shift.y + (factor - 1) * top];
  field.window.set({
    queries: dragged(queries, size.queries, plotHeight / LARGEST, plotHeight, factor, down),
    keys: dragged(keys, size.keys, plotWidth / LARGEST, plotWidth, factor, right),
  });
}

/** Makes a map larger around a pixel. */
export const enlarge = (field: Field, factor: number, x: number, y: number) =>
  move(field, factor, { x: x * (1 - factor), y: y * (1 - factor) });

/** Follows gestures on a canvas; the answer stops that. */
export function followGestures(canvas: HTMLCanvasElement, field: Field): () => void {
  let before: ZoomTransform = zoomIdentity;
  // With one finger the page is scrolled, as long as there is nothing of the map to move to.
  const scroll = (event: TouchEvent) => {
    if (event.touches.length === 1 && isWhole(field)) event.stopImmediatePropagation();
  };
  canvas.addEventListener("touchmove", scroll, { capture: true });
  const behavior = zoom<HTMLCanvasElement, unknown>()
    .duration(matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200)
    .filter((event: MouseEvent) => (event instanceof WheelEvent ? takesWheel(event, field) : !event.button))
    .on("zoom", ({ transform }: D3ZoomEvent<HTMLCanvasElement, unknown>) => {
      const factor = transform.k / before.k;
      move(field, factor, { x: transform.x - before.x * factor, y: transform.y - before.y * factor });
      before = transform;
    })
    .on("end", () => {
      // Only changes count; from where they are counted may as well be here, where numbers stay small.
      before = zoomIdentity;
      Object.assign(canvas, { __zoom: zoomIdentity });
    });
  const on = select(canvas).call(behavior);
  return () => {
    on.on(".zoom", null);
    canvas.removeEventListener("touchmove", scroll, { capture: true });
  };
}

/** Names that all fit need no zoom, and a map that is all seen cannot be seen smaller: then the wheel scrolls the page. */
function takesWheel(event: WheelEvent, field: Field): boolean {
  if (event.ctrlKey || event.metaKey || !isWhole(field)) return true;
  const { plotWidth, plotHeight } = field.layout();
  const { queries, keys } = field.size();
  return event.deltaY < 0 && Math.min(plotWidth / keys, plotHeight / queries) < 14;
}
