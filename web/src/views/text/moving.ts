/** Finds words by where they stand on the page, and brings them into sight. */

import type { Window } from "./window";

const TRIES = 20;
const NEAR = 3;

/** The words that stand on the page, in order. */
const words = (box: HTMLElement) => [...box.querySelectorAll<HTMLElement>("[data-unit]")];

/** The word in the line above (-1) or below (1) that lies nearest. */
export function inNextLine(box: HTMLElement, word: HTMLElement, step: 1 | -1): HTMLElement | null {
  const all = words(box);
  const here = word.getBoundingClientRect();
  const middle = (here.left + here.right) / 2;
  let best: HTMLElement | null = null;
  let line = Number.NaN;
  let least = Number.POSITIVE_INFINITY;
  for (let place = all.indexOf(word) + step; place >= 0 && place < all.length; place += step) {
    const { left, right, top, height } = all[place]!.getBoundingClientRect();
    if (Math.abs(top - here.top) < height / 2) continue;
    if (Number.isNaN(line)) line = top;
    if (Math.abs(top - line) > height / 2) break;
    const distance = middle < left ? left - middle : Math.max(0, middle - right);
    if (distance < least) [best, least] = [all[place]!, distance];
  }
  return best;
}

/** Scrolls as little as needed to have a word in sight; whether it stands on the page. */
export function nudge(box: HTMLElement, word: HTMLElement | null): boolean {
  if (!word) return false;
  const [inner, outer] = [word.getBoundingClientRect(), box.getBoundingClientRect()];
  if (inner.top < outer.top + NEAR) box.scrollTop -= outer.top - inner.top + inner.height;
  else if (inner.bottom > outer.bottom - NEAR) box.scrollTop += inner.bottom - outer.bottom + inner.height;
  return true;
}

/** Whether a word is in sight. */
export function isInSight(box: HTMLElement, word: HTMLElement | null): boolean {
  if (!word) return false;
  const [inner, outer] = [word.getBoundingClientRect(), box.getBoundingClientRect()];
  return inner.top >= outer.top && inner.bottom <= outer.bottom;
}

/** Brings a word to the middle; its block is put on the page first, where heights are as yet guessed. */
export function centre(
  box: HTMLElement,
  window: Window,
  block: number,
  find: () => HTMLElement | null,
): () => void {
  let frame = 0;
  const approach = (tries: number) => {
    const word = find();
    const before = box.scrollTop;
    if (word) {
      const [inner, outer] = [word.getBoundingClientRect(), box.getBoundingClientRect()];
      box.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
      if (Math.abs(box.scrollTop - before) < NEAR) return;
    } else {
      const { start, end } = window.measurementsCache[block] ?? { start: 0, end: 0 };
      box.scrollTop = (start + end - box.clientHeight) / 2;
    }
    if (tries > 0) frame = requestAnimationFrame(() => approach(tries - 1));
  };
  approach(TRIES);
  return () => cancelAnimationFrame(frame);
}
