/** All heads at a glance: a thumbnail of each, from which one is chosen. */

import "./grid.css";
import type { Drawing } from "../../drawing/saving";
import type { Store } from "../../state/store";
import type { View, ViewProps } from "../view";
import { Controls } from "./controls";
import { Facts } from "./facts";
import { Heads } from "./heads";
import { paint } from "./painting";
import { laidOut, pictureOf, thumbnailsOf } from "./picture";
import { sidesOf } from "./state";

/** How wide a saved picture is at least, and how many of its pixels stand for one of the page. */
const WIDTH = 720;
const RATIO = 2;

function Grid({ store }: ViewProps) {
  const sides = sidesOf(store);
  return (
    <>
      <Controls store={store} />
      {sides.map((side) => (
        <div key={side} class="heads-side">
          {sides.length > 1 && <h2>{titleOf(store, side)}</h2>}
          <Heads store={store} side={side} />
        </div>
      ))}
      <Facts store={store} />
    </>
  );
}

function titleOf(store: Store, side: "a" | "b"): string {
  const { run, group } = side === "a" ? store.choice.value : store.other.value;
  const { title, groups } = store.report.runs[run]!;
  const name = groups.length > 1 ? `, ${groups[group]!.name}` : "";
  return `${side.toUpperCase()}: ${title}${name}`;
}

function drawing(store: Store): Drawing | null {
  const group = store.report.group(store.choice.value);
  const layout = laidOut(store, group, WIDTH);
  const thumbnails = thumbnailsOf(store, group);
  if (thumbnails === null) return null;
  const area = { x: 0, y: 0, width: layout.fullWidth, height: layout.fullHeight };
  const picture = pictureOf(store, "a", layout, thumbnails);
  return { width: area.width, height: area.height, draw: (pen) => paint(pen, picture, area, RATIO) };
}

/** The grid of heads. */
export const grid: View = {
  name: "grid",
  title: "Grid",
  hint: "All heads, a thumbnail of each.",
  fits: () => true,
  Component: Grid,
  drawing,
};
