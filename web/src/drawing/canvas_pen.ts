/** Draws on a canvas. */

import { fontOf, widthOf } from "./measuring";
import { cut, type Fill, isolated, type Pen, type Point, type Stroke, type TextStyle } from "./pen";

/** Browsers draw nothing at all on canvases of longer sides. */
const MOST_PIXELS = 16_000;

/** A pen on a canvas, sharp on screens with several pixels to a point. */
export class CanvasPen implements Pen {
  private readonly on: CanvasRenderingContext2D;
  private readonly ratio: number;

  constructor(
    readonly canvas: HTMLCanvasElement,
    readonly width: number,
    readonly height: number,
    asked = window.devicePixelRatio || 1,
  ) {
    const ratio = Math.min(asked, MOST_PIXELS / Math.max(width, height, 1));
    this.ratio = ratio;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    this.on = canvas.getContext("2d")!;
    this.on.scale(ratio, ratio);
  }

  rectangle(x: number, y: number, width: number, height: number, fill: Fill | null, stroke?: Stroke): void {
    this.on.beginPath();
    this.on.rect(x, y, width, height);
    if (fill) this.filled(fill);
    if (stroke) this.stroked(stroke);
  }

  line(points: readonly Point[], stroke: Stroke): void {
    this.path(points);
    this.stroked(stroke);
  }

  curve(from: Point, to: Point, axis: "horizontal" | "vertical", stroke: Stroke): void {
    const [[x0, y0], [x1, y1]] = [from, to];
    this.on.beginPath();
    this.on.moveTo(x0, y0);
    if (axis === "horizontal") this.on.bezierCurveTo((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
    else this.on.bezierCurveTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1);
    this.stroked(stroke);
  }

  area(points: readonly Point[], fill: Fill): void {
    this.path(points);
    this.on.closePath();
    this.filled(fill);
  }

  text(text: string, x: number, y: number, style: TextStyle): void {
    const { size, fill, align = "left", baseline = "middle", turn = 0, width, bold = false } = style;
    this.on.save();
    this.on.translate(x, y);
    this.on.rotate((turn * Math.PI) / 180);
    this.on.font = fontOf(size, bold);
    this.on.fillStyle = fill;
    this.on.textAlign = align;
    this.on.textBaseline = baseline;
    this.on.fillText(isolated(cut(text, width, (part) => this.on.measureText(part).width)), 0, 0);
    this.on.restore();
  }

  image(
    image: HTMLCanvasElement | HTMLImageElement,
    x: number,
    y: number,
    width: number,
    height: number,
    { smooth = false, opacity = 1 }: { smooth?: boolean; opacity?: number } = {},
  ): void {
    this.on.imageSmoothingEnabled = smooth;
    this.on.globalAlpha = opacity;
    this.on.drawImage(image, x, y, width, height);
    this.on.globalAlpha = 1;
  }

  inside(x: number, y: number, width: number, height: number, draw: () => void): void {
    this.on.save();
    this.on.beginPath();
    this.on.rect(x, y, width, height);
    this.on.clip();
    draw();
    this.on.restore();
  }

  /** Draws in a rectangle as if it was a whole canvas. */
  part(x: number, y: number, width: number, height: number, draw: (pen: Pen) => void): void {
    const pen = new CanvasPen(document.createElement("canvas"), width, height, this.ratio);
    draw(pen);
    this.image(pen.canvas, x, y, width, height);
  }

  measure(text: string, size: number, bold = false): number {
    return widthOf(text, size, bold);
  }

  private path(points: readonly Point[]): void {
    this.on.beginPath();
    for (const [place, [x, y]] of points.entries()) place === 0 ? this.on.moveTo(x, y) : this.on.lineTo(x, y);
  }

  private filled({ color, opacity = 1 }: Fill): void {
    this.on.globalAlpha = opacity;
    this.on.fillStyle = color;
    this.on.fill();
    this.on.globalAlpha = 1;
  }

  private stroked({ color, width, opacity = 1 }: Stroke): void {
    this.on.globalAlpha = opacity;
    this.on.strokeStyle = color;
    this.on.lineWidth = width;
    this.on.lineJoin = this.on.lineCap = "round";
    this.on.stroke();
    this.on.globalAlpha = 1;
  }
}
