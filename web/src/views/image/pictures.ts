/** The pictures of a report, decoded when they are first asked for. */

import { bytes } from "../../content/arrays";
import { arriving } from "../../content/arriving";
import type { ImageSegment, Ref } from "../../content/schema";

const pictures = { "image/png": arriving(as("image/png")), "image/jpeg": arriving(as("image/jpeg")) };

/** The picture of a segment; null while it is decoded, and where there is none. */
export const pictureOf = ({ picture, type }: ImageSegment): HTMLImageElement | null =>
  picture === null ? null : pictures[type](picture).value;

/** Reads a file as a data URL, so that the picture stands in saved files too. */
function as(type: ImageSegment["type"]): (picture: Ref) => Promise<HTMLImageElement | null> {
  return async (picture) => {
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
  };
}
