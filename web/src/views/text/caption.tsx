/** Says what the words are shaded by, how far the colours run, and which weights are known. */

import type { ReadonlySignal } from "@preact/signals";
import { percent } from "../../content/numbers";
import { visible } from "../../content/positions";
import { only } from "../../state/sides";
import type { Pane, Store } from "../../state/store";
import type { Shade } from "./shade";

const STEPS = 16;
const MOST_EXACT = 12;

/** What captions are handed. */
interface CaptionProps {
  store: Store;
  pane: Pane;
  shade: ReadonlySignal<Shade | null>;
}

/** A sentence and the colours, beside the text. */
export function Caption({ store, pane, shade }: CaptionProps) {
  const now = shade.value;
  if (!now) return null;
  return (
    <div class="caption">
      <p class="soft caption-says">{saying(store, pane, now)}</p>
      <Legend shade={now} />
    </div>
  );
}

/** What the words are shaded by. */
export function saying(store: Store, pane: Pane, { chosen, shades: { signed } }: Shade): string {
  const of = signed ? "difference in " : "";
  if (!chosen) return sentence(`${of}weight received, averaged over all ${store.options.unit.value}`);
  const name = pane[chosen.side].value.name(store.options.unit.value, chosen.tokens);
  return sentence(chosen.side === "queries" ? `${of}what “${name}” attends to` : `${of}who attends to “${name}”`);
}

const sentence = (text: string) => `Shaded by ${text}`;

/** The colours from the least to the largest weight. */
function Legend({ shade: { shades } }: { shade: Shade }) {
  const least = shades.signed ? -shades.largest : 0;
  const stops = Array.from({ length: STEPS + 1 }, (_, step) =>
    shades.css(least + ((shades.largest - least) * step) / STEPS),
  );
  return (
    <span class="legend" role="img" aria-label={`Colours from ${percent(least)} to ${percent(shades.largest)}`}>
      {percent(least)}
      <i style={{ background: `linear-gradient(to right, ${stops.join(", ")})` }} />
      {percent(shades.largest, shades.signed)}
    </span>
  );
}

/** Which weights are known, where not all are. */
export function Exactness({ store, pane, shade }: CaptionProps) {
  const [reading, now] = [pane.reading.value, shade.value];
  const map = store.report.head(pane.choice.value).map;
  if (!reading || !now || reading.exact || map.form === "full") return null;
  const unit = store.options.unit.value;
  const queries = pane.queries.value;
  const exact = reading.exactQueries();
  const size = now.side === "keys" ? map.keysACell : map.queriesACell;
  return (
    <p class="soft exactness">
      {now.line.exact ? "Every weight is exact." : `Shading in cells of ${size} tokens.`}
      {exact.length > 0 && " Exact for "}
      {exact.slice(0, MOST_EXACT).map((query) => (
        <>
          <button
            type="button"
            class="quiet"
            data-exact={query}
            onClick={() => {
              store.pinned.value = only({ side: "queries", tokens: queries.tokensOf(unit, query) });
            }}
          >
            {visible(queries.label(unit, query))} <small>{query}</small>
          </button>{" "}
        </>
      ))}
      {exact.length > MOST_EXACT && `and ${exact.length - MOST_EXACT} more`}
    </p>
  );
}
