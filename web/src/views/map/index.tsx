/** The map: every weight of a head as a colour, from all of it down to single words. */

import { useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { Drawn } from "../../drawing/drawn";
import type { Drawing } from "../../drawing/saving";
import { useTall } from "../../drawing/tall";
import type { Pane, Selection, Store } from "../../state/store";
import type { View, ViewProps } from "../view";
import { drawMap } from "./base";
import { drawChosen } from "./chosen";
import { type Field, followGestures, isWhole } from "./gestures";
import "./map.css";
import { followPointer } from "./pointer";
import { type Scene, type Sight, sceneOf } from "./scene";
import { enlargeChosen, walk } from "./walking";
import { whole } from "./window";

const ENLARGED = 1.6;
/** How much of the window's height a map takes at most. */
const SHARE_OF_WINDOW = 0.72;
const LEAST = 320;
/** A saved map's size. */
const SAVED = { width: 1000, tallest: 900 };

function MapView({ store, pane }: ViewProps) {
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const tall = useTall(place, SHARE_OF_WINDOW);
  const tallest = () => Math.max(LEAST, tall.value);
  const scene = sceneOf(store, pane);
  const sightAt = (width: number) => scene.sight(scene.layout(width, tallest()), devicePixelRatio);
  const width = () => canvas.current?.clientWidth ?? 0;
  const sight = () => sightAt(width());
  const field = useMemo(() => fieldOf(scene, width, tallest), [scene]);
  const { queries, keys } = scene.size();
  useSignalEffect(() => {
    const action = isWhole(field) ? "pan-x pan-y" : "none";
    if (canvas.current) canvas.current.style.touchAction = action;
  });
  const zoom = (factor: number) => {
    const seen = sight();
    if (seen) enlargeChosen(store, seen, field, factor);
  };
  return (
    <div class="map" ref={place}>
      <Drawn
        class="map-weights"
        id={`map-${pane.id}`}
        role="application"
        aria-describedby={`map-keys-${pane.id}`}
        label={`Map of ${queries} queries by ${keys} keys: ${pane.title.value}.`}
        tabIndex={0}
        height={(width) => scene.layout(width, tallest()).height}
        draw={(pen) => {
          const seen = sightAt(pen.width);
          if (seen) drawMap(pen, seen);
          if (seen && canvas.current) describe(canvas.current, seen);
        }}
        onCanvas={(element) => {
          canvas.current = element;
          const stops = [followGestures(element, field), followPointer(element, store, sight)];
          return () => {
            for (const stop of stops) stop();
          };
        }}
        onKeyDown={(event) => {
          const seen = sight();
          if (seen && walk(event, store, seen, field)) event.preventDefault();
        }}
      >
        <Drawn
          label=""
          aria-hidden="true"
          height={(width) => scene.layout(width, tallest()).height}
          draw={(pen) => {
            const seen = sightAt(pen.width);
            if (seen) drawChosen(pen, seen, selections(store));
          }}
        />
      </Drawn>
      <p id={`map-keys-${pane.id}`} hidden>
        Arrows move, with shift by ten; Enter pins, Escape lets go; plus and minus zoom, 0 shows all.
      </p>
      <div class="map-buttons" role="toolbar" aria-label="Zoom">
        <button type="button" class="map-smaller" title="Smaller (−)" onClick={() => zoom(1 / ENLARGED)}>
          −
        </button>
        <button type="button" class="map-larger" title="Larger (+)" onClick={() => zoom(ENLARGED)}>
          +
        </button>
        <button
          type="button"
          class="map-fit"
          title="All of it (0)"
          onClick={() => field.window.set(whole(queries, keys))}
        >
          Fit
        </button>
      </div>
    </div>
  );
}

/** What is pinned, and what is pointed at besides. */
const selections = (store: Store): Selection[] =>
  [store.pinned.value, store.pointed.value].filter((selection) => selection !== null);

/** What gestures ask of a scene that is as wide as its canvas. */
const fieldOf = (scene: Scene, width: () => number, tallest: () => number): Field => ({
  layout: () => scene.layout(width(), tallest()),
  size: () => scene.size(),
  window: {
    get: () => scene.window().value,
    set: (window) => {
      scene.window().value = window;
    },
  },
});

/** Says where the weights stand and which of them are seen, for whoever drives the page by a program. */
function describe(canvas: HTMLCanvasElement, { layout, window: { queries, keys }, level }: Sight): void {
  const { left, top, plotWidth, plotHeight } = layout;
  canvas.dataset.plot = [left, top, plotWidth, plotHeight].join(" ");
  canvas.dataset.seen = [queries.from, queries.to, keys.from, keys.to].join(" ");
  canvas.dataset.cells = `${level.rows} ${level.columns}`;
}

function drawing(store: Store, pane: Pane): Drawing | null {
  const scene = sceneOf(store, pane);
  const { queries, keys } = scene.size();
  if (queries === 0 || keys === 0) return null;
  const layout = scene.layout(SAVED.width, SAVED.tallest);
  const sight = scene.sight(layout, 2);
  if (sight === null) return null;
  return {
    width: layout.width,
    height: layout.height,
    draw(pen) {
      drawMap(pen, sight);
      drawChosen(pen, sight, store.pinned.value ? [store.pinned.value] : []);
    },
  };
}

/** Every weight as a colour. */
export const map: View = {
  name: "map",
  title: "Map",
  hint: "Every weight as a colour: rows attend to columns",
  fits: () => true,
  Component: MapView,
  drawing,
};
