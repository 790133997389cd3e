/** Where the parts of a map stand: labels to the left and above, the weights, and the legend below. */

/** Places in pixels. */
export interface Layout {
  width: number;
  height: number;
  /** How high all of it might be. */
  tallest: number;
  /** Where the weights begin, and how much room they take. */
  left: number;
  top: number;
  plotWidth: number;
  plotHeight: number;
  /** How long labels may be. */
  rowLabel: number;
  columnLabel: number;
}

/** How far labels of columns are turned, in degrees. */
export const TURN = -60;
/** How much room a label takes across. */
export const LABEL_HEIGHT = 14;
export const LABEL_SIZE = 12;
/** Between a label and the weights. */
export const GAP = 8;
/** Room for the legend. */
const BELOW = 58;
/** The largest cell of a map that is seen as a whole, and the least height or width where there is room. */
const LARGEST = 44;
const COMFORTABLE = 24;

/** The slope of a column's label: what it goes to the right for each pixel up. */
export const LEAN = 1 / Math.tan((-TURN * Math.PI) / 180);

/**
 * Lays out a map.
 *
 * @param tallest how high all of it may be.
 * @param labels how long the longest labels are.
 */
export function layoutOf(
  width: number,
  tallest: number,
  rows: number,
  columns: number,
  labels: { rows: number; columns: number },
): Layout {
  const rowLabel = Math.ceil(Math.min(labels.rows, 130, 0.26 * width));
  const columnLabel = Math.ceil(Math.min(labels.columns, 96));
  const left = rowLabel + GAP + 2;
  const rise = Math.ceil(columnLabel * Math.sin((-TURN * Math.PI) / 180));
  const top = rise + GAP + LABEL_HEIGHT / 2;
  const right = Math.ceil(rise * LEAN) + LABEL_HEIGHT / 2;
  const room = { x: Math.max(48, width - left - right), y: Math.max(96, tallest - top - BELOW) };
  const widest = Math.min(room.x / columns, LARGEST);
  const cellHeight = Math.min(room.y / rows, LARGEST, Math.max(widest, COMFORTABLE));
  const cellWidth = Math.min(widest, Math.max(1.6 * cellHeight, COMFORTABLE));
  const plotWidth = Math.max(1, Math.round(cellWidth * columns));
  const plotHeight = Math.max(1, Math.round(cellHeight * rows));
  const height = top + plotHeight + BELOW;
  return { width, height, tallest, left, top, plotWidth, plotHeight, rowLabel, columnLabel };
}
