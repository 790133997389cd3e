/** What cannot be in sight of a long text: where the pinned word's links lead, or the strongest links of all. */

import { percent } from "../../content/numbers";
import { visible } from "../../content/positions";
import type { Link, Reading } from "../../content/reading";
import { across, type Side } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import { largest } from "../../state/telling";
import { inSight, ROW, TOP } from "./scene";
import { scrolledOf } from "./scrolled";

const NAMED = 4;
/** Less than this is not worth a way. */
const LEAST = 0.0005;

interface OutsideProps {
  store: Store;
  pane: Pane;
  height: number;
}

/** A way to a place out of sight. */
interface Way {
  label: string;
  weight: number;
  go(): void;
}

/** Buttons that scroll to the strongest links out of sight. */
export function Outside({ store, pane, height }: OutsideProps) {
  const reading = pane.reading.value;
  const pinned = store.pinned.value;
  const side: Side | null = pinned?.queries ? "queries" : pinned?.keys ? "keys" : null;
  const unit = store.options.unit.value;
  const scrolled = scrolledOf(pane);
  const scroll = (to: Side, index: number) => {
    scrolled.linked.value = false;
    scrolled[to].value = Math.max(0, (index + 0.5) * ROW - height / 2);
  };
  const name = (of: Side, index: number) => visible(pane[of].value.label(unit, index));
  const ways = (): Way[] => {
    if (reading === null) return [];
    if (side === null) return strongestOfAll(reading);
    const other = across(side);
    const sight = inSight({ count: pane[other].value.count(unit), scrolled: scrolled[other].value }, height + TOP);
    const units = pane[side].value.unitsOf(unit, pinned![side]!);
    const values = (side === "queries" ? reading.row(units) : reading.column(units)).values.slice();
    values.fill(0, sight.from, sight.to);
    return largest(values, NAMED)
      .filter((index) => Math.abs(values[index]!) >= LEAST)
      .map((index) => ({ label: name(other, index), weight: values[index]!, go: () => scroll(other, index) }));
  };
  const strongestOfAll = (of: Reading): Way[] =>
    strongestIn(of).map(({ query, key, weight }) => ({
      label: `${name("queries", query)} → ${name("keys", key)}`,
      weight,
      go: () => {
        scroll("queries", query);
        scroll("keys", key);
        store.pin({ queries: pane.queries.value.tokensOf(unit, query), keys: null });
      },
    }));
  const found = ways();
  return (
    <p class="lines-outside soft">
      {found.length > 0 && (side === null ? "Strongest: " : "Out of sight: ")}
      {found.map(({ label, weight, go }, place) => (
        <button type="button" class="lines-go" key={`${place} ${label}`} onClick={go}>
          <bdi>{label}</bdi> {percent(weight, reading?.signed)}
        </button>
      ))}
      {found.length === 0 &&
        (side === null ? "Pin a word to see where its links lead." : "None of its links is out of sight.")}
    </p>
  );
}

const strongest = new WeakMap<Reading, readonly Link[]>();

/** The strongest single weights; where none are known, those of the strongest cells stand at their beginnings. */
function strongestIn(reading: Reading): readonly Link[] {
  const known = strongest.get(reading);
  if (known) return known;
  const { columns, rowEdges, columnEdges, max } = reading.grid();
  const cells = () =>
    largest(max, NAMED).map((place) => ({
      query: rowEdges[Math.floor(place / columns)]!,
      key: columnEdges[place % columns]!,
      weight: max[place]!,
    }));
  const links = reading.links();
  const all = links.length > 0 ? links.slice(0, NAMED) : cells();
  const found = all.filter(({ weight }) => Math.abs(weight) >= LEAST);
  strongest.set(reading, found);
  return found;
}
