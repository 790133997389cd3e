/** The pictures of a report, decoded when they are first asked for. */

import { type Signal, signal } from "@preact/signals";
import { bytes } from "../../content/arrays";
import type { ImageSegment } from "../../content/schema";

const decoded = new Map<number, Signal<HTMLImageElement | null>>();

/** The picture of a segment; null while it is decoded, and where there is none. */
export function pictureOf({ picture, type }: ImageSegment): HTMLImageElement | null {
  if (picture === null) return null;
  const known = decoded.get(picture) ?? signal(null);
  if (!decoded.has(picture)) {
    decoded.set(picture, known);
    read(picture, type).then((image) => {
      known.value = image;
    });
  }
  return known.value;
}

/** As a data URL, so that the picture stands in saved files too. */
async function read(picture: number, type: ImageSegment["type"]): Promise<HTMLImageElement | null> {
  const reader = new FileReader();
  const read = new Promise((done) => reader.addEventListener("load", done));
  reader.readAsDataURL(new Blob([await bytes(picture)], { type }));
  await read;
  const image = new Image();
  image.src = String(reader.result);
  return image.decode().then(
    () => image,
    () => null,
  );
}
