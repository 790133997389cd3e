/** Reads what Python put into the page: the index, and the compressed arrays beside it, each when it is asked for. */

import type { Content, Ref } from "./schema";

/** The index of the page. */
export function readIndex(): Content {
  const content = JSON.parse(document.getElementById("index")?.textContent ?? "null") as Content | null;
  if (content === null) throw new Error("this page holds no report");
  if (content.version !== 1) throw new Error(`expected a report of version 1; got ${content.version}`);
  return content;
}

/** The bytes of an array. */
export async function bytes(ref: Ref): Promise<Uint8Array<ArrayBuffer>> {
  const text = document.getElementById(`array-${ref}`)?.textContent ?? "";
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Unsigned numbers of two bytes, little-endian. */
export async function shorts(ref: Ref): Promise<Uint16Array> {
  const view = new DataView((await bytes(ref)).buffer);
  return Uint16Array.from({ length: view.byteLength / 2 }, (_, place) => view.getUint16(2 * place, true));
}

/** Unsigned numbers of four bytes, little-endian. */
export async function integers(ref: Ref): Promise<Uint32Array> {
  const view = new DataView((await bytes(ref)).buffer);
  return Uint32Array.from({ length: view.byteLength / 4 }, (_, place) => view.getUint32(4 * place, true));
}

/** Texts, of which there are `count`. */
export async function strings(ref: Ref, count: number): Promise<string[]> {
  return count === 0 ? [] : new TextDecoder().decode(await bytes(ref)).split("\0");
}
