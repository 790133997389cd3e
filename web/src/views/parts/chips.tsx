/** Positions that are no part of a picture or sound, as chips: shaded likewise, to point at and to pin. */

import { type ReadonlySignal, useSignalEffect } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { type Positions, type Unit, visible } from "../../content/positions";
import type { Segment } from "../../content/schema";
import type { Shading } from "../../drawing/colors";
import { inks } from "../../drawing/inks";
import { widthOf } from "../../drawing/measuring";
import type { Pen } from "../../drawing/pen";
import { colors_changed } from "../../drawing/theme";
import type { Store } from "../../state/store";
import { type Placed, type Shown, selectedOn, selecting } from "./shown";
import "./parts.css";

/** More chips than these are not shown: the views of text are made for them. */
const MOST = 1500;

/** The units of a side outside all segments of a kind. */
export function outside(positions: Positions, unit: Unit, kind: Segment["kind"]): number[] {
  const segments = positions.segmentsOf(kind);
  return Array.from({ length: positions.count(unit) }, (_, index) => index).filter((index) => {
    const { from } = positions.tokensOf(unit, index);
    return !segments.some(({ start, stop }) => start <= from && from < stop);
  });
}

interface ChipsProps {
  store: Store;
  placed: Placed;
  /** Units to show. */
  units: readonly number[];
  title: string;
  shown: ReadonlySignal<Shown | null>;
  shades: ReadonlySignal<Shading | null>;
}

/** A row of chips. */
export function Chips({ store, placed, units, title, shown, shades }: ChipsProps) {
  const chips = useRef<HTMLDivElement>(null);
  const unit = store.options.unit.value;
  const { side, positions } = placed;
  const few = units.slice(0, MOST);
  useSignalEffect(() => {
    colors_changed.value;
    const [weights, colors] = [shown.value, shades.value];
    const isShaded = weights && colors && (side === "both" || side === weights.side);
    const marked = selectedOn(store, side).map((tokens) => positions.unitsOf(unit, tokens));
    for (const chip of chips.current?.children ?? []) {
      const index = Number((chip as HTMLElement).dataset.unit);
      const weight = isShaded ? weights.values[index]! : null;
      const { style } = chip as HTMLElement;
      style.background = weight === null ? "" : colors!.css(weight);
      style.color = weight === null ? "" : colors!.ink(weight);
      chip.classList.toggle(
        "marked",
        marked.some(({ from, to }) => from <= index && index < to),
      );
    }
  });
  const row = useMemo(
    () =>
      few.map((index) => (
        <button type="button" class="chip" dir="auto" data-unit={index}>
          {visible(positions.label(unit, index))}
        </button>
      )),
    [positions, unit, units.length],
  );
  if (units.length === 0) return null;
  const aimed = (event: Event) => {
    const chip = (event.target as HTMLElement).closest<HTMLElement>(".chip");
    return chip && selecting(store, side, positions.tokensOf(unit, Number(chip.dataset.unit)));
  };
  const point = (event: Event) => {
    store.pointed.value = aimed(event);
  };
  return (
    <section class="chips-part">
      <h3>{title}</h3>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the chips are buttons; one listener serves them all. */}
      {/* biome-ignore lint/a11y/useKeyWithMouseEvents: focus points as well. */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: keys click buttons. */}
      <div
        class="chips"
        data-side={side}
        ref={chips}
        onMouseOver={point}
        onMouseLeave={() => {
          store.pointed.value = null;
        }}
        onFocusIn={point}
        onFocusOut={() => {
          store.pointed.value = null;
        }}
        onClick={(event) => {
          const selection = aimed(event);
          if (selection) store.pin(selection);
        }}
      >
        {row}
      </div>
      {units.length > MOST && <p class="soft">and {units.length - MOST} more, which Text shows</p>}
    </section>
  );
}

const [SIZE, LINE, GAP] = [13, 24, 5];

/** Draws chips in lines from an upper left corner, and says how high they are; without a pen they are only laid out. */
export function drawChips(
  pen: Pen | null,
  box: { x: number; y: number; width: number },
  { store, placed, units }: Pick<ChipsProps, "store" | "placed" | "units">,
  shown: Shown,
  shades: Shading,
): number {
  const unit = store.options.unit.value;
  const isShaded = placed.side === "both" || placed.side === shown.side;
  const { text, line } = inks();
  let [x, y] = [0, 0];
  for (const index of units.slice(0, MOST)) {
    const label = visible(placed.positions.label(unit, index));
    const width = Math.min(box.width, widthOf(label, SIZE) + 12);
    if (x > 0 && x + width > box.width) [x, y] = [0, y + LINE];
    const weight = isShaded ? shown.values[index]! : null;
    const fill = weight === null ? null : { color: shades.css(weight) };
    pen?.rectangle(box.x + x, box.y + y, width, LINE - 4, fill, { color: line, width: 1 });
    pen?.text(label, box.x + x + width / 2, box.y + y + LINE / 2 - 2, {
      ...{ size: SIZE, align: "center", width: width - 8 },
      fill: weight === null ? text : shades.ink(weight),
    });
    x += width + GAP;
  }
  return units.length === 0 ? 0 : y + LINE;
}
