/** Saves what views draw as a PNG or SVG file. */

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

/** A drawing with what stands over it. */
export interface Titled {
  title: string;
  drawing: Drawing;
}

const EDGE = 16;
const TITLE = 28;
const NAME = 24;

/** The file of drawings beside one another, under a title. */
export async function fileOf(title: string, parts: readonly Titled[], kind: "png" | "svg"): Promise<Blob> {
  const width = parts.reduce((sum, { drawing }) => sum + drawing.width + EDGE, EDGE);
  const height = Math.max(...parts.map(({ drawing }) => drawing.height)) + TITLE + NAME + 2 * EDGE;
  if (kind === "svg") {
    const pen = new SvgPen(width, height);
    compose(pen, title, parts);
    return new Blob([pen.toString()], { type: "image/svg+xml" });
  }
  const canvas = document.createElement("canvas");
  compose(new CanvasPen(canvas, width, height, 2), title, parts);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("the picture is too large"))), "image/png"),
  );
}

function compose(pen: CanvasPen | SvgPen, title: string, parts: readonly Titled[]): void {
  const { back, text, soft } = inks();
  pen.rectangle(0, 0, pen.width, pen.height, { color: back });
  pen.text(title, EDGE, EDGE + TITLE / 2, { size: 16, fill: text, bold: true, width: pen.width - 2 * EDGE });
  let x = EDGE;
  for (const { title: name, drawing } of parts) {
    pen.text(name, x, EDGE + TITLE + NAME / 2, { size: 13, fill: soft, width: drawing.width });
    pen.part(x, EDGE + TITLE + NAME, drawing.width, drawing.height, (inner) => drawing.draw(inner));
    x += drawing.width + EDGE;
  }
}

/** Hands a file to the reader. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
