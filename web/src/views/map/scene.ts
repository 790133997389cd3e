/** What the map of a pane shows: its weights at all resolutions, the part that is seen, and the colours. */

import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { type Positions, type Unit, visible } from "../../content/positions";
import type { Link, Reading } from "../../content/reading";
import type { Shading } from "../../drawing/colors";
import { widthOf } from "../../drawing/measuring";
import { colors_changed } from "../../drawing/theme";
import { shadingHere } from "../../drawing/washing";
import { reachOf } from "../../state/linked";
import type { Pane, Pooling, Store } from "../../state/store";
import { LABEL_SIZE, type Layout, layoutOf } from "./layout";
import { joins, type Level, Pyramid } from "./pyramid";
import { colorsOf } from "./raster";
import { type Window, whole } from "./window";

/** Weights and the positions they are between. */
interface Shown {
  reading: Reading;
  queries: Positions;
  keys: Positions;
  unit: Unit;
  pooling: Pooling;
  pyramid: Pyramid;
}

/** A level in colours. */
interface Paint {
  largest: number;
  shades: Shading;
  colors: Uint32Array;
}

/** Everything that drawing and pointing need, for one width. */
export interface Sight extends Shown, Paint {
  layout: Layout;
  window: Window;
  level: Level;
  /** How many pixels of the screen stand for a pixel of the page. */
  ratio: number;
  /** Exact weights of a query on each key, where the map is in cells and this query's are known. */
  exactRow(query: number): Float32Array | null;
  /** Single weights that are drawn upon cells, strongest first. */
  links: readonly Link[];
}

/** How large cells must be drawn before single weights stand upon them, and units before a row of them stands by itself. */
const CELL_WITH_LINKS = 6;
const UNIT_OF_ROW = 3;

const windows = new WeakMap<Store["options"], Map<string, Signal<Window>>>();

/** The seen part of maps of a size: panes of one size move together, and a size comes back as it was left. */
function windowOf(store: Store, queries: number, keys: number): Signal<Window> {
  const sizes = windows.get(store.options) ?? new Map<string, Signal<Window>>();
  const seen = sizes.get(`${queries} ${keys}`) ?? signal(whole(queries, keys));
  windows.set(store.options, sizes.set(`${queries} ${keys}`, seen));
  return seen;
}

const scenes = new WeakMap<Pane, Scene>();

/** The map of a pane, made once. */
export function sceneOf(store: Store, pane: Pane): Scene {
  const scene = scenes.get(pane) ?? new Scene(store, pane);
  scenes.set(pane, scene);
  return scene;
}

/** The map of a pane. */
export class Scene {
  private readonly shown: ReadonlySignal<Shown | null>;
  private readonly paints: ReadonlySignal<Map<Level, Paint>>;
  private readonly rows: ReadonlySignal<Map<number, Float32Array | null>>;

  constructor(
    readonly store: Store,
    readonly pane: Pane,
  ) {
    const { unit, pooling, palette, scale } = store.options;
    this.shown = computed(() => {
      const reading = pane.reading.value;
      const [queries, keys] = [pane.queries.value, pane.keys.value];
      if (reading?.queries !== queries.count(unit.value) || reading.keys !== keys.count(unit.value)) return null;
      const pyramid = new Pyramid(reading.grid(), pooling.value);
      return { reading, queries, keys, pyramid, unit: unit.value, pooling: pooling.value };
    });
    this.paints = computed(() => {
      this.shown.value;
      [palette.value, scale.value, colors_changed.value];
      return new Map();
    });
    this.rows = computed(() => {
      const exact = this.shown.value?.reading.exactQueries() ?? [];
      return new Map(exact.map((query) => [query, null]));
    });
  }

  /** How many queries and keys there are, known before their weights are. */
  size(): { queries: number; keys: number } {
    const unit = this.store.options.unit.value;
    return { queries: this.pane.queries.value.count(unit), keys: this.pane.keys.value.count(unit) };
  }

  /** The part that is seen. */
  window(): Signal<Window> {
    const { queries, keys } = this.size();
    return windowOf(this.store, queries, keys);
  }

  /** Where everything stands, for a width and a height at most. */
  layout(width: number, tallest: number): Layout {
    const { queries, keys } = this.size();
    const unit = this.store.options.unit.value;
    const rows = longestLabel(this.pane.queries.value, unit);
    const columns = longestLabel(this.pane.keys.value, unit);
    return layoutOf(width, tallest, queries, keys, { rows, columns });
  }

  /** What is to be drawn; null while weights are decoded. */
  sight(layout: Layout, ratio: number): Sight | null {
    const shown = this.shown.value;
    if (shown === null) return null;
    const window = this.window().value;
    const { rows, columns } = shown.pyramid.level(0, 0);
    const { height, width } = sizeOf(shown, layout, window);
    const level = levelOf(shown, layout, window, ratio);
    const isLarge = Math.min(height / rows, width / columns) >= CELL_WITH_LINKS;
    const largest = reachOf(this.store, (store, pane) =>
      pane === this.pane ? level.largest : sceneOf(store, pane).largest(layout.width, layout.tallest, ratio),
    );
    return {
      ...shown,
      ...this.paint(level, largest, shown.reading.signed),
      ...{ layout, window, level, ratio },
      exactRow: (query) =>
        height / shown.reading.queries >= UNIT_OF_ROW ? this.exactRow(shown.reading, query) : null,
      links: isLarge ? shown.reading.links() : [],
    };
  }

  /** The largest weight that is drawn on a canvas of some size, 0 while weights are decoded. */
  private largest(width: number, tallest: number, ratio: number): number {
    const shown = this.shown.value;
    return shown ? levelOf(shown, this.layout(width, tallest), this.window().value, ratio).largest : 0;
  }

  /** The colours of a level, made once for a choice of options. */
  private paint(level: Level, largest: number, signed: boolean): Paint {
    const made = this.paints.value.get(level);
    if (made?.largest === largest) return made;
    const { palette, scale } = this.store.options;
    const shades = shadingHere(palette.value, scale.value, largest, signed);
    const paint = { largest, shades, colors: colorsOf(level.values, shades) };
    this.paints.value.set(level, paint);
    return paint;
  }

  private exactRow(reading: Reading, query: number): Float32Array | null {
    const rows = this.rows.value;
    const known = rows.get(query);
    if (known !== null) return known ?? null;
    const { values } = reading.row({ from: query, to: query + 1 });
    rows.set(query, values);
    return values;
  }
}

/** How large all weights would be drawn. */
function sizeOf({ reading }: Shown, { plotWidth, plotHeight }: Layout, { queries, keys }: Window) {
  const height = (plotHeight / (queries.to - queries.from)) * reading.queries;
  return { height, width: (plotWidth / (keys.to - keys.from)) * reading.keys };
}

/** The level whose cells take a pixel of the screen or more. */
function levelOf(shown: Shown, layout: Layout, window: Window, ratio: number): Level {
  const { rows, columns } = shown.pyramid.level(0, 0);
  const { height, width } = sizeOf(shown, layout, window);
  return shown.pyramid.level(joins(rows, height * ratio), joins(columns, width * ratio));
}

/** One label of so many is cut. */
const RARE = 50;

const lengths = new WeakMap<Positions, Map<Unit, number>>();

/**
 * How many pixels long labels take.
 *
 * Letters differ in width, so the few with the most signs are measured. The longest words of a long text are rare: their
 * labels are cut, rather than giving all of them so much room.
 */
function longestLabel(positions: Positions, unit: Unit): number {
  const known = lengths.get(positions) ?? new Map<Unit, number>();
  lengths.set(positions, known);
  const made = known.get(unit);
  if (made !== undefined) return made;
  const longest = Array.from({ length: positions.count(unit) }, (_, index) => visible(positions.label(unit, index)))
    .sort((a, b) => b.length - a.length)
    .slice(Math.floor(positions.count(unit) / RARE));
  const length = Math.max(12, ...longest.slice(0, 20).map((label) => widthOf(label, LABEL_SIZE, true)));
  known.set(unit, length);
  return length;
}
