/** What of the model was seen, and whether what attention highlights matters to its answer. */

import "./receipt.css";
import { visible } from "../../content/positions";
import type { Check, Run } from "../../content/schema";
import { Drawn } from "../../drawing/drawn";
import type { Drawing } from "../../drawing/saving";
import type { Pane, Store } from "../../state/store";
import type { View, ViewProps } from "../view";
import { CHECK_HEIGHT, colorsOf, legendHeight, paintCheck, paintLegend, WAYS } from "./curves_chart";
import { paintTold, toldHeight } from "./told";

const WIDTH = 720;
const BETWEEN = 16;

/** The runs whose receipts a pane shows: all of them, or each pane its own. */
const runsOf = (store: Store, pane: Pane): readonly Run[] =>
  store.compared.value === "beside" ? [store.report.runs[pane.choice.value.run]!] : store.report.runs;

function Receipt({ store, pane }: ViewProps) {
  const runs = runsOf(store, pane);
  return (
    <div class="receipts">
      {runs.map((run, place) => (
        <article key={place} class="receipt">
          {store.report.runs.length > 1 && <h3 class="run-title">{run.title}</h3>}
          <ul class="coverage">
            {run.coverage.map((line) => (
              <li class={line.startsWith("  ") ? "inner" : ""}>{line.trim()}</li>
            ))}
          </ul>
          {run.check && <Checked check={run.check} />}
        </article>
      ))}
    </div>
  );
}

/** What a check found, and its curves. */
function Checked({ check }: { check: Check }) {
  const [first, ...others] = check.says;
  return (
    <section class="check">
      <h3>Does what attention highlights matter?</h3>
      <p>{first}</p>
      <div class="check-charts">
        {WAYS.map((way) => (
          <figure key={way}>
            <figcaption>{CAPTIONS[way]}</figcaption>
            <Drawn
              label={`${CAPTIONS[way]} ${toldCurves(check, way)}`}
              data-chart={way}
              height={() => CHECK_HEIGHT}
              draw={(pen) => paintCheck(pen, check, way, { x: 0, y: 0, width: pen.width, height: pen.height })}
            />
          </figure>
        ))}
      </div>
      <Legend check={check} />
      {others.length > 0 && (
        <details>
          <summary>The other explanations in words</summary>
          {others.map((sentence) => (
            <p>{sentence}</p>
          ))}
        </details>
      )}
    </section>
  );
}

const CAPTIONS = {
  deletion: "Removed, the most important first: a faithful order falls at once.",
  insertion: "Inserted, the most important first: a faithful order rises at once.",
};

const toldCurves = (check: Check, way: "deletion" | "insertion") =>
  Object.entries(check[way])
    .map(([name, values]) => `${visible(name)}: ${values.map((value) => value.toFixed(3)).join(", ")}`)
    .join("; ");

function Legend({ check }: { check: Check }) {
  return (
    <Drawn
      label={[...colorsOf(check).keys()].join(", ")}
      data-chart="legend"
      height={() => legendHeight(check)}
      draw={(pen) => paintLegend(pen, check, { x: 0, y: 0, width: pen.width, height: pen.height })}
    />
  );
}

function drawing(store: Store, pane: Pane): Drawing {
  const runs = runsOf(store, pane);
  let height = 0;
  const parts = runs.flatMap((run) => {
    const { check } = run;
    const said = [run.title, ...run.coverage, ...(check?.says ?? [])];
    const box = { x: 0, y: height, width: WIDTH, height: toldHeight(said, WIDTH) };
    const charts = WAYS.map((way, place) => ({
      way,
      box: { x: (place * WIDTH) / 2, y: box.y + box.height, width: WIDTH / 2, height: CHECK_HEIGHT },
    }));
    const legend = { ...box, x: 8, y: box.y + box.height + CHECK_HEIGHT, height: check ? legendHeight(check) : 0 };
    height = box.y + box.height + (check ? CHECK_HEIGHT + legend.height : 0) + BETWEEN;
    return [{ said, box, check, charts, legend }];
  });
  return {
    width: WIDTH,
    height,
    draw: (pen) => {
      for (const { said, box, check, charts, legend } of parts) {
        paintTold(pen, said, box);
        if (!check) continue;
        for (const { way, box: place } of charts) paintCheck(pen, check, way, place);
        paintLegend(pen, check, legend);
      }
    },
  };
}

/** The receipt. */
export const receipt: View = {
  name: "receipt",
  title: "Receipt",
  hint: "Which attention was seen and which was not, and what a check of it found.",
  fits: () => true,
  Component: Receipt,
  drawing,
};
