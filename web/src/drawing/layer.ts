/** What is drawn once and then lies under what changes at every move of the pointer. */

import { CanvasPen } from "./canvas_pen";
import type { Pen } from "./pen";

/** An image that is drawn anew only when what it is drawn from is not the same as before. */
export class Layer {
  private from: readonly unknown[] = [];
  private readonly canvas = document.createElement("canvas");

  /**
   * Puts the image on a pen of the screen.
   *
   * @param from all that the image is drawn from, compared by identity.
   */
  put(onto: Pen, from: readonly unknown[], draw: (pen: Pen) => void, opacity = 1): void {
    const { width, height } = onto;
    const inputs = [...from, width, height, window.devicePixelRatio];
    if (inputs.length !== this.from.length || inputs.some((input, place) => input !== this.from[place])) {
      draw(new CanvasPen(this.canvas, width, height));
      this.from = inputs;
    }
    onto.image(this.canvas, 0, 0, width, height, { smooth: true, opacity });
  }
}
