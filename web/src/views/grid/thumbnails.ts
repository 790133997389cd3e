/** The thumbnails of a group: decoded once, coloured in one image, from which each head is cut. */

import { bytes } from "../../content/arrays";
import { arriving } from "../../content/arriving";
import { weightsOfBytes } from "../../content/codes";
import type { Group } from "../../content/schema";
import type { Shading } from "../../drawing/colors";
import { type Cell, type Layout, MARGIN } from "./layout";
import type { Place } from "./statistics";

const codes = arriving(bytes);
const CODES = 256;
/** How many thumbnails stand beside one another in the image. */
const ABREAST = 64;

/** The codes of a group's thumbnails; null while they are read. */
export const thumbnailCodes = (group: Group): Uint8Array | null => codes(group.thumbnails).value;

/** The largest weight of a group. */
export const largestWeight = (given: Uint8Array): number =>
  (given.reduce((most, code) => Math.max(most, code), 0) / (CODES - 1)) ** 2;

/** All thumbnails of a group in colour. */
export class Thumbnails {
  private readonly image = document.createElement("canvas");
  private readonly rows: number;
  private readonly columns: number;
  /** How many heads the layers before each one have. */
  private readonly before: number[] = [];

  constructor(group: Group, given: Uint8Array, shades: Shading) {
    [this.rows, this.columns] = group.thumbnail;
    let heads = 0;
    for (const layer of group.layers) {
      this.before.push(heads);
      heads += layer.heads.length;
    }
    this.image.width = Math.max(1, this.columns * Math.min(heads, ABREAST));
    this.image.height = Math.max(1, this.rows * Math.ceil(heads / ABREAST));
    this.paint(given, shades);
  }

  /** The thumbnails of some heads at their places, in an image of its own; elsewhere nothing is drawn. */
  sheet(cells: readonly Cell[], layout: Layout, area: Area, ratio: number): HTMLCanvasElement {
    const sheet = document.createElement("canvas");
    sheet.width = Math.max(1, Math.round(area.width * ratio));
    sheet.height = Math.max(1, Math.round(area.height * ratio));
    const on = sheet.getContext("2d")!;
    on.scale(ratio, ratio);
    on.imageSmoothingEnabled = false;
    for (const cell of cells) {
      const [left, top] = this.corner(cell);
      const [x, y] = [cell.x - area.x + MARGIN, cell.y - area.y + MARGIN];
      on.drawImage(this.image, left, top, this.columns, this.rows, x, y, layout.side, layout.side);
    }
    return sheet;
  }

  private corner({ layer, head }: Place): [left: number, top: number] {
    const number = this.before[layer]! + head;
    return [(number % ABREAST) * this.columns, Math.floor(number / ABREAST) * this.rows];
  }

  private paint(given: Uint8Array, shades: Shading): void {
    const { rows, columns, image } = this;
    const weights = weightsOfBytes(Uint8Array.from({ length: CODES }, (_, code) => code));
    const colors = Uint32Array.from(weights, (weight) => shades.pixel(weight));
    const pixels = new Uint32Array(image.width * image.height);
    for (let place = 0; place < given.length; place++) {
      const number = Math.floor(place / (rows * columns));
      const left = (number % ABREAST) * columns + (place % columns);
      const top = Math.floor(number / ABREAST) * rows + (Math.floor(place / columns) % rows);
      pixels[top * image.width + left] = colors[given[place]!]!;
    }
    const data = new ImageData(new Uint8ClampedArray(pixels.buffer), image.width, image.height);
    image.getContext("2d")!.putImageData(data, 0, 0);
  }
}

/** The part of a layout that is seen. */
export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}
