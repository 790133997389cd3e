/** How high a drawing may be, so that all of it is seen above the line that tells what is selected. */

import { type Signal, signal } from "@preact/signals";
import type { RefObject } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";

/** What stands between a drawing and the line below it. */
const EDGE = 28;
/** Where less than this share of the window is left, the page is scrolled anyway. */
const ENOUGH = 0.45;

/** How high a drawing may be that begins so far below the top of the page. */
export function tallOf(height: number, above: number, below: number, most: number): number {
  const left = height - above - below - EDGE;
  return left < ENOUGH * height ? most * height : Math.min(left, most * height);
}

/** Follows how high a drawing may be that begins where an element does: at most a share of the window. */
export function useTall(element: RefObject<HTMLElement | null>, most: number): Signal<number> {
  const tall = useMemo(() => signal(most * window.innerHeight), []);
  useLayoutEffect(() => {
    const measure = () => {
      const above = (element.current?.getBoundingClientRect().top ?? 0) + window.scrollY;
      tall.value = tallOf(window.innerHeight, above, document.getElementById("status")?.offsetHeight ?? 0, most);
    };
    measure();
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, []);
  return tall;
}
