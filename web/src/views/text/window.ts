/** Keeps on the page only the blocks in sight, with their heights as they are measured. */

import {
  elementScroll,
  measureElement,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useMemo, useReducer } from "preact/hooks";
import type { Block } from "./blocks";

const LETTER = 9;
const LINE = 30;
const OVERSCAN = 3;
/** The height before anything is measured. */
const FIRST = { width: 600, height: 600 };

/** Blocks of which some stand on the page. */
export type Window = Virtualizer<HTMLElement, HTMLElement>;

/** The blocks of a text within a box that scrolls. */
export function useWindow(box: RefObject<HTMLElement | null>, blocks: readonly Block[], moved: () => void): Window {
  const [, again] = useReducer((count: number) => count + 1, 0);
  const options = {
    count: blocks.length,
    getScrollElement: () => box.current,
    estimateSize: (index: number) => {
      const width = (box.current?.clientWidth || FIRST.width) * 0.85;
      return LINE * Math.max(1, Math.ceil((blocks[index]!.letters * LETTER) / width)) + LINE / 3;
    },
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    measureElement,
    initialRect: FIRST,
    overscan: OVERSCAN,
    onChange: () => {
      again(0);
      moved();
    },
  };
  const window = useMemo(() => new Virtualizer<HTMLElement, HTMLElement>(options), []);
  window.setOptions(options);
  useLayoutEffect(() => window._didMount(), []);
  useLayoutEffect(() => window._willUpdate());
  return window;
}
