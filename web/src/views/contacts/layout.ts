/** Where the map of residues and the arcs below it lie. */

/** The places of a figure. */
export interface Layout {
  /** The map's left and upper edge. */
  left: number;
  top: number;
  /** The map's width and height. */
  side: number;
  /** The line of the arcs, below them. */
  line: number;
  /** How high the highest arc is. */
  arcs: number;
  height: number;
}

const [MARGIN, WIDEST] = [40, 640];

/** The figure within a width. */
export function layoutOf(width: number): Layout {
  const side = Math.max(40, Math.min(WIDEST, width - MARGIN - 10));
  const arcs = Math.max(60, side * 0.26);
  const line = MARGIN + side + 22 + arcs;
  return { left: MARGIN, top: MARGIN, side, arcs, line, height: line + 26 };
}

/** The residue at a place along an edge; null beside it. */
export function residueAt(place: number, side: number, count: number): number | null {
  const residue = Math.floor((place / side) * count);
  return residue >= 0 && residue < count ? residue : null;
}

const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

/** Every how many residues a number stands, if numbers take so many pixels. */
export function tickStep(count: number, side: number, room: number): number {
  return STEPS.find((step) => (step * side) / count >= room) ?? STEPS.at(-1)!;
}
