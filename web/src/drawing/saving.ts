/** Saves what a view draws as a PNG or SVG file. */

import { CanvasPen } from "./canvas_pen";
import { inks } from "./inks";
import type { Pen } from "./pen";
import { SvgPen } from "./svg_pen";

/** What can be saved: a size, and how to draw it. */
export interface Drawing {
  width: number;
  height: number;
  draw(pen: Pen): void;
}

/** The file of a drawing. */
export async function fileOf(drawing: Drawing, kind: "png" | "svg"): Promise<Blob> {
  const { width, height } = drawing;
  if (kind === "svg") {
    const pen = new SvgPen(width, height);
    drawn(pen, drawing);
    return new Blob([pen.toString()], { type: "image/svg+xml" });
  }
  const canvas = document.createElement("canvas");
  drawn(new CanvasPen(canvas, width, height, 2), drawing);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture is too large"))), "image/png"),
  );
}

function drawn(pen: Pen, drawing: Drawing): void {
  pen.rectangle(0, 0, drawing.width, drawing.height, { color: inks().back });
  drawing.draw(pen);
}

/** Hands a file to the reader. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
