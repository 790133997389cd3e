/** The weights between two short texts as a small matrix, each row and column with its word. */

import { useRef } from "preact/hooks";
import { visible } from "../../content/positions";
import { painted } from "../../drawing/colors";
import { Drawn } from "../../drawing/drawn";
import { inks } from "../../drawing/inks";
import { widthOf } from "../../drawing/measuring";
import type { Pen } from "../../drawing/pen";
import type { Pane, Selection, Store } from "../../state/store";
import { drawLegend, LEGEND_HEIGHT } from "../parts/legend";
import { pointing } from "../parts/pointing";
import { chosenOf } from "./chosen";
import { type Aligned, aligned } from "./pairs";
import { type Scene, sceneOf, selectedIn } from "./scene";
import type { Text } from "./texts";

const LETTERS = 12;
const [LEAST, MOST] = [13, 20];
const TURN = -60;
/** Longer words are cut. */
const LONGEST = 130;
/** Texts of more units are the map's affair. */
const MOST_UNITS = 60;
/** From the matrix to what its colours mean, and from there to what its sides are. */
const GAP = 6;
const SAID = 20;
const SIDES = { cross: "Rows: target; columns: source", self: "Rows attend to columns" };

/** Where the matrix lies. */
interface Layout {
  left: number;
  top: number;
  cell: number;
  rows: number;
  columns: number;
  height: number;
}

const count = ({ units }: Text) => units.to - units.from;

/** Where the matrix of a scene lies; null where its words could not be read. */
function layoutOf(scene: Scene): Layout | null {
  const { target, source } = scene.pair;
  const [rows, columns] = [count(target), count(source)];
  if (Math.max(rows, columns) > MOST_UNITS || Math.min(rows, columns) === 0) return null;
  const widest = (boxes: Scene["target"]["boxes"]) =>
    Math.min(LONGEST, Math.max(...boxes.map(({ label }) => widthOf(label, LETTERS))));
  const turned = (Math.abs(TURN) * Math.PI) / 180;
  const top = Math.ceil(widest(scene.source.boxes) * Math.sin(turned)) + 12;
  const lean = Math.ceil(widest(scene.source.boxes) * Math.cos(turned)) + 6;
  const left = Math.ceil(widest(scene.target.boxes)) + 8;
  const cell = Math.min(MOST, Math.floor((scene.width - left - lean) / columns));
  return cell < LEAST
    ? null
    : { left, top, cell, rows, columns, height: top + rows * cell + GAP + LEGEND_HEIGHT + SAID };
}

/** The matrix, where its words can be read. */
export function Matrix({ store, pane }: { store: Store; pane: Pane }) {
  const last = useRef<{ scene: Scene; layout: Layout } | null>(null);
  const found = (width: number) => {
    const scene = sceneOf(store, pane, width);
    const layout = scene && layoutOf(scene);
    last.current = scene && layout ? { scene, layout } : null;
    return last.current;
  };
  const draw = (pen: Pen) => {
    const now = found(pen.width);
    if (!now) return;
    const { scene, layout } = now;
    const pairs = pairsIn(store, pane, scene);
    drawMatrix(pen, scene, layout, pairs, store.selection.value);
    drawMeaning(pen, scene, layout, SIDES[pane.group.value.kind], pairs !== null);
  };
  const at = (x: number, y: number): Selection | null => {
    if (!last.current) return null;
    const { left, top, cell, rows, columns } = last.current.layout;
    const [row, column] = [Math.floor((y - top) / cell), Math.floor((x - left) / cell)];
    return row >= 0 && row < rows && column >= 0 && column < columns ? spot(last.current.scene, row, column) : null;
  };
  const step = ([right, down]: readonly [number, number]): Selection | null => {
    if (!last.current) return null;
    const { scene, layout } = last.current;
    const now = selectedIn(scene, store.selection.peek());
    const row = (now.target?.from ?? scene.pair.target.units.from) - scene.pair.target.units.from + down;
    const column = (now.source?.from ?? scene.pair.source.units.from) - scene.pair.source.units.from + right;
    const within = (value: number, most: number) => Math.max(0, Math.min(most - 1, value));
    return spot(scene, within(row, layout.rows), within(column, layout.columns));
  };
  return (
    <Drawn
      class="alignment-matrix"
      label="Weights of each target word on each source word"
      height={(width) => found(width)?.layout.height ?? 0}
      draw={draw}
      {...pointing(store, { at, step })}
    />
  );
}

function spot({ pair: { target, source } }: Scene, row: number, column: number): Selection {
  const tokens = ({ positions, unit, units }: Text, place: number) => positions.tokensOf(unit, units.from + place);
  return { queries: tokens(target, row), keys: tokens(source, column) };
}

/** The words that belong together; null in a difference, of which none do. */
function pairsIn(store: Store, pane: Pane, { reading, pair, pairs }: Scene): readonly Aligned[] | null {
  if (reading.signed) return null;
  return pairs ?? aligned(reading, pair, chosenOf(pane).rule.value, store.options.least.value);
}

function drawMatrix(
  pen: Pen,
  scene: Scene,
  layout: Layout,
  pairs: readonly Aligned[] | null,
  selection: Selection | null,
): void {
  const { left, top, cell, rows, columns } = layout;
  const { target, source } = scene.pair;
  const { text, mark } = inks();
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const index = target.units.from + row;
    const line = scene.reading.row({ from: index, to: index + 1 }).values;
    values.set(line.subarray(source.units.from, source.units.to), row * columns);
  }
  pen.image(painted(values, rows, columns, scene.shades), left, top, columns * cell, rows * cell);
  for (const pair of pairs ?? []) {
    const [row, column] = [pair.target - target.units.from, pair.source - source.units.from];
    const size = cell / 4;
    const middle = (place: number) => (place + 0.5) * cell - size / 2;
    const ink = scene.shades.ink(values[row * columns + column]!);
    pen.rectangle(left + middle(column), top + middle(row), size, size, { color: ink });
  }
  const chosen = selectedIn(scene, selection);
  const style = { size: LETTERS, fill: text, width: LONGEST };
  const isIn = (range: { from: number; to: number } | null, index: number) =>
    range !== null && range.from <= index && index < range.to;
  for (let row = 0; row < rows; row++) {
    const index = target.units.from + row;
    const label = visible(target.positions.label(target.unit, index));
    const look = { ...style, align: "right", bold: isIn(chosen.target, index) } as const;
    pen.text(label, left - 5, top + (row + 0.5) * cell, look);
  }
  for (let column = 0; column < columns; column++) {
    const index = source.units.from + column;
    const label = visible(source.positions.label(source.unit, index));
    pen.text(label, left + (column + 0.5) * cell, top - 6, {
      ...style,
      turn: TURN,
      bold: isIn(chosen.source, index),
    });
  }
  const frame = { color: mark, width: 2 };
  const [across, down] = [chosen.source, chosen.target];
  if (across || down) {
    const [x, width] = across ? [across.from - source.units.from, across.to - across.from] : [0, columns];
    const [y, height] = down ? [down.from - target.units.from, down.to - down.from] : [0, rows];
    pen.rectangle(left + x * cell, top + y * cell, width * cell, height * cell, null, frame);
  }
}

/** What colours, rows, columns and squares mean. */
function drawMeaning(pen: Pen, scene: Scene, { top, rows, cell }: Layout, sides: string, hasPairs: boolean): void {
  const below = top + rows * cell + GAP;
  drawLegend(pen, 0, below, scene.shades);
  const says = hasPairs ? `${sides}; squares: aligned words` : sides;
  pen.text(says, 0, below + LEGEND_HEIGHT + SAID / 2 - 2, { size: 12, fill: inks().soft, width: pen.width });
}
