/** A canvas that fills its place, and is drawn anew when what it reads changes. */

import { effect, useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { CanvasPen } from "./canvas_pen";
import type { Pen } from "./pen";
import { colors_changed } from "./theme";

/** What a drawn element takes; everything else goes to the canvas. */
interface DrawnProps extends Omit<JSX.IntrinsicElements["canvas"], "height" | "width" | "ref"> {
  /** What a screen reader says it is. */
  label: string;
  /** How high it is for a width, in pixels. */
  height: (width: number) => number;
  /** Draws; signals that it reads make it draw again, so that those which change together are set in a batch. */
  draw: (pen: Pen) => void;
  /** Is handed the canvas once it stands. */
  onCanvas?: (canvas: HTMLCanvasElement) => () => void;
  children?: ComponentChildren;
}

/** A canvas for a view. */
export function Drawn({ label, height, draw, onCanvas, children, ...rest }: DrawnProps) {
  const place = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      width.value = Math.floor(entry!.contentRect.width);
    });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => onCanvas?.(canvas.current!), []);
  const latest = useRef({ draw, height });
  latest.current = { draw, height };
  // Drawn at once: an effect of the component would wait until after the frame that is to show the change.
  useLayoutEffect(
    () =>
      effect(() => {
        colors_changed.value;
        if (width.value === 0 || !canvas.current) return;
        latest.current.draw(new CanvasPen(canvas.current, width.value, latest.current.height(width.value)));
      }),
    [],
  );
  return (
    <div class="drawn" ref={place}>
      <canvas ref={canvas} role="img" aria-label={label} {...rest} />
      {children}
    </div>
  );
}
