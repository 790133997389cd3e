/** The shading of the whole text in one slim strip, with the part in sight; a click jumps. */

import { effect, type ReadonlySignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { painted } from "../../drawing/colors";
import type { Shade } from "./shade";

const ROWS = 600;

/** What the strip is handed; parts of the text are shares of it, from 0 to 1. */
interface StripProps {
  shade: ReadonlySignal<Shade | null>;
  /** Whether the words beside it are those that are shaded. */
  isShaded: (shade: Shade) => boolean;
  sight: ReadonlySignal<{ from: number; to: number }>;
  jump: (share: number) => void;
}

/** The strip beside a text. */
export function Strip({ shade, isShaded, sight, jump }: StripProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(
    () =>
      effect(() => {
        const now = shade.value;
        const image = canvas.current;
        if (!image) return;
        image.height = 1;
        if (!now || !isShaded(now)) return;
        const rows = Math.min(ROWS, now.line.values.length);
        const whole = painted(strongest(now.line.values, rows), rows, 1, now.shades);
        image.height = whole.height;
        image.getContext("2d")!.drawImage(whole, 0, 0);
      }),
    [shade, isShaded],
  );
  useEffect(
    () =>
      effect(() => {
        const { from, to } = sight.value;
        if (!frame.current) return;
        frame.current.style.top = `${100 * from}%`;
        frame.current.style.height = `${100 * (to - from)}%`;
      }),
    [sight],
  );
  const follow = (event: PointerEvent & { currentTarget: HTMLElement }) => {
    if (event.buttons === 0) return;
    const { top, height } = event.currentTarget.getBoundingClientRect();
    jump(Math.min(1, Math.max(0, (event.clientY - top) / height)));
  };
  return (
    <div
      class="strip"
      aria-hidden="true"
      title="The whole text: click to jump"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        follow(event);
      }}
      onPointerMove={follow}
    >
      <canvas ref={canvas} width={1} height={1} />
      <div ref={frame} class="sight" />
    </div>
  );
}

/** The largest weights by size, in order, of so many even parts of the text. */
export function strongest(values: Float32Array, parts: number): Float32Array {
  const found = new Float32Array(parts);
  for (let index = 0; index < values.length; index++) {
    const part = Math.floor((index * parts) / values.length);
    if (Math.abs(values[index]!) > Math.abs(found[part]!)) found[part] = values[index]!;
  }
  return found;
}
