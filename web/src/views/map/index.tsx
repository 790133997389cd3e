/** The map: every weight of a head as a colour, from all of it down to single words. */

import { useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { Drawn } from "../../drawing/drawn";
import { inks } from "../../drawing/inks";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Selection, Store } from "../../state/store";
import { spanned } from "../../state/telling";
import type { View, ViewProps } from "../view";
import { drawMap } from "./base";
import { drawChosen } from "./chosen";
import { type Field, followGestures, isWhole } from "./gestures";
import "./map.css";
import { selectionAt } from "./pointing";
import { Scene, type Sight } from "./scene";
import { enlargeChosen, walk } from "./walking";
import { whole } from "./window";

const ENLARGED = 1.6;
/** How much of the window's height a map takes at most. */
const SHARE_OF_WINDOW = 0.72;
/** A saved map's size, and the room for its title. */
const SAVED = { width: 1000, tallest: 900, title: 56 };

const tallest = () => Math.max(320, SHARE_OF_WINDOW * window.innerHeight);

function MapView({ store, pane }: ViewProps) {
  const scene = useMemo(() => new Scene(store, pane), [store, pane]);
  const { queries, keys } = scene.size();
  if (queries === 0 || keys === 0)
    return <p class="soft map-empty">There is nothing to draw: {keys === 0 ? "no keys" : "no queries"}.</p>;
  return <Filled scene={scene} label={`Map of ${queries} queries by ${keys} keys: ${pane.title.value}.`} />;
}

/** A map that is not empty. */
function Filled({ scene, label }: { scene: Scene; label: string }) {
  const { store, pane } = scene;
  const canvas = useRef<HTMLCanvasElement | null>(null);
  const { sight, field } = useMemo(() => handles(scene, () => canvas.current?.clientWidth ?? 0), [scene]);
  useSignalEffect(() => {
    const action = isWhole(field) ? "pan-x pan-y" : "none";
    if (canvas.current) canvas.current.style.touchAction = action;
  });
  const zoom = (factor: number) => {
    const seen = sight();
    if (seen) enlargeChosen(store, seen, field, factor);
  };
  return (
    <div class="map">
      <Drawn
        class="map-weights"
        id={`map-${pane.id}`}
        role="application"
        aria-describedby={`map-keys-${pane.id}`}
        label={label}
        tabIndex={0}
        height={(width) => scene.layout(width, tallest()).height}
        draw={(pen) => {
          const seen = scene.sight(scene.layout(pen.width, tallest()), devicePixelRatio);
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
            const seen = scene.sight(scene.layout(pen.width, tallest()), devicePixelRatio);
            if (seen) drawChosen(pen, seen, selections(store));
          }}
        />
      </Drawn>
      <p class="hidden" id={`map-keys-${pane.id}`} hidden>
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
          onClick={() => field.window.set(whole(scene.size().queries, scene.size().keys))}
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

/** What pointing, keys and gestures ask of a scene that is as wide as its canvas. */
function handles(scene: Scene, width: () => number): { sight: () => Sight | null; field: Field } {
  const layout = () => scene.layout(width(), tallest());
  const field: Field = {
    layout,
    size: () => scene.size(),
    window: {
      get: () => scene.window().value,
      set: (window) => {
        scene.window().value = window;
      },
    },
  };
  return { field, sight: () => (width() > 0 ? scene.sight(layout(), devicePixelRatio) : null) };
}

/** Follows the pointer, at most once a frame; the answer stops that. */
function followPointer(canvas: HTMLCanvasElement, store: Store, sight: () => Sight | null): () => void {
  const listening = new AbortController();
  const on = <K extends keyof HTMLElementEventMap>(name: K, answer: (event: HTMLElementEventMap[K]) => void) =>
    canvas.addEventListener(name, answer, { signal: listening.signal, passive: true });
  let frame = 0;
  const at = (event: MouseEvent) => {
    const seen = sight();
    return seen && selectionAt(seen, event.offsetX, event.offsetY);
  };
  const follow = (event: MouseEvent) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => {
      store.pointed.value = at(event);
    });
  };
  on("pointermove", (event) => {
    if (event.pointerType !== "touch" && event.buttons === 0) follow(event);
  });
  // Something else lies under a pointer that rests while the map grows.
  on("wheel", follow);
  on("pointerleave", () => {
    cancelAnimationFrame(frame);
    store.pointed.value = null;
  });
  on("click", (event) => {
    const chosen = at(event);
    if (chosen) store.pin(event.shiftKey ? spannedTo(store.pinned.value, chosen) : chosen);
  });
  return () => {
    cancelAnimationFrame(frame);
    listening.abort();
  };
}

/** What is pinned, made larger until it holds what was clicked. */
function spannedTo(pinned: Selection | null, clicked: Selection): Selection {
  const side = (name: keyof Selection) =>
    clicked[name] ? spanned(pinned?.[name] ?? null, clicked[name]) : (pinned?.[name] ?? null);
  return { queries: side("queries"), keys: side("keys") };
}

/** Says where the weights stand and which of them are seen, for whoever drives the page by a program. */
function describe(canvas: HTMLCanvasElement, { layout, window: { queries, keys }, level }: Sight): void {
  const { left, top, plotWidth, plotHeight } = layout;
  canvas.dataset.plot = [left, top, plotWidth, plotHeight].join(" ");
  canvas.dataset.seen = [queries.from, queries.to, keys.from, keys.to].join(" ");
  canvas.dataset.cells = `${level.rows} ${level.columns}`;
}

function drawing(store: Store, pane: Pane): Drawing | null {
  const scene = new Scene(store, pane);
  const { queries, keys } = scene.size();
  if (queries === 0 || keys === 0) return null;
  const layout = scene.layout(SAVED.width, SAVED.tallest);
  const down = { ...layout, top: layout.top + SAVED.title, height: layout.height + SAVED.title };
  const sight = scene.sight(down, 2);
  if (sight === null) return null;
  const report = store.report.runs[pane.choice.value.run]!.title;
  const ends = layout.left + layout.plotWidth + layout.top;
  return {
    width: Math.min(layout.width, Math.max(560, ends)),
    height: down.height,
    draw(pen) {
      const ink = inks();
      pen.text(pane.title.value, 16, 20, { size: 15, fill: ink.text, bold: true, width: pen.width - 32 });
      pen.text(report, 16, 40, { size: 12, fill: ink.soft, width: pen.width - 32 });
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
