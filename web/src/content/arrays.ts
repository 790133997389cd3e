/** Reads what Python put into the page: the index, and the compressed arrays beside it, each when it is asked for. */

import type { Content, Ref } from "./schema";

const SAVED = "was the file saved to its end?";

/** The index of the page. */
export function readIndex(): Content {
  const text = document.getElementById("index")?.textContent;
  if (!text) throw new Error(`it holds no report; ${SAVED}`);
  const content = parsed(text);
  if (content.version !== 1)
    throw new Error(
      `expected a report of version 1; got ${content.version}: save it again, with one version of regard`,
    );
  return content;
}

/** The bytes of an array. */
export async function bytes(ref: Ref): Promise<Uint8Array<ArrayBuffer>> {
  const text = document.getElementById(`array-${ref}`)?.textContent;
  if (!text) throw new Error(`array ${ref} is missing; ${SAVED}`);
  try {
    const letters = atob(text);
    const packed = new Uint8Array(letters.length);
    for (let place = 0; place < letters.length; place++) packed[place] = letters.charCodeAt(place);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Error(`array ${ref} is damaged; ${SAVED}`);
  }
}

function parsed(text: string): Content {
  try {
    return JSON.parse(text) as Content;
  } catch {
    throw new Error(`its report cannot be read; ${SAVED}`);
  }
}

/** Unsigned numbers of two bytes, little-endian. */
export async function shorts(ref: Ref): Promise<Uint16Array> {
  const view = new DataView((await bytes(ref)).buffer);
  const numbers = new Uint16Array(view.byteLength / 2);
  for (let place = 0; place < numbers.length; place++) numbers[place] = view.getUint16(2 * place, true);
  return numbers;
}

/** Unsigned numbers of four bytes, little-endian. */
export async function integers(ref: Ref): Promise<Uint32Array> {
  const view = new DataView((await bytes(ref)).buffer);
  const numbers = new Uint32Array(view.byteLength / 4);
  for (let place = 0; place < numbers.length; place++) numbers[place] = view.getUint32(4 * place, true);
  return numbers;
}

/** Texts, of which there are `count`. */
export async function strings(ref: Ref, count: number): Promise<string[]> {
  // A mark at the beginning is part of the first text here, not of the encoding.
  return count === 0 ? [] : new TextDecoder("utf-8", { ignoreBOM: true }).decode(await bytes(ref)).split("\0");
}
