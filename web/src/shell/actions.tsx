/** Saves what is shown, copies a link to it, and helps. */

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { download, fileOf, type Titled } from "../drawing/saving";
import { panesOf } from "../state/linked";
import type { Store } from "../state/store";
import { grid } from "../views";
import { say } from "./done";
import { opened } from "./fitting";
import { nameOf } from "./names";
import { tableOf } from "./table";

const NOTHING = "There is nothing to save.";

/** What the buttons take. */
interface ActionsProps {
  store: Store;
  link: () => string;
  help: RefObject<HTMLDialogElement | null>;
}

/** The buttons beside the title. */
export function Actions({ store, link, help }: ActionsProps) {
  const shownLink = useSignal("");
  const save = (kind: "png" | "svg") => savePicture(store, kind).then(say, (wrong) => say(`Not saved: ${wrong}`));
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(link());
      say("The link is copied.");
    } catch {
      // A page from disk or in a notebook may have no clipboard: the link stands there to be copied by hand.
      shownLink.value = link();
    }
  };
  return (
    <div id="actions">
      <fieldset aria-label="Save">
        <button type="button" id="save-png" title="Save the view as a picture" onClick={() => save("png")}>
          PNG
        </button>
        <button type="button" id="save-svg" title="Save the view as a drawing" onClick={() => save("svg")}>
          SVG
        </button>
        <button
          type="button"
          id="save-data"
          title="Save the weights as a table"
          onClick={() => say(saveTable(store))}
        >
          CSV
        </button>
      </fieldset>
      <button type="button" id="copy-link" title="Copy a link to what is shown" onClick={copy}>
        link
      </button>
      <button
        type="button"
        id="show-help"
        title="Keys (?)"
        aria-label="Keys"
        onClick={() => help.current?.showModal()}
      >
        ?
      </button>
      {shownLink.value && (
        <input
          id="link"
          readOnly
          aria-label="Link to what is shown"
          value={shownLink.value}
          ref={(field) => field?.select()}
          onBlur={() => {
            shownLink.value = "";
          }}
        />
      )}
    </div>
  );
}

/** Saves the open view, all panes beside one another. */
async function savePicture(store: Store, kind: "png" | "svg"): Promise<string> {
  const view = opened(store);
  const parts = panesOf(store).flatMap(([own, pane]) => {
    const drawing = view?.drawing(own, pane);
    return drawing ? [{ title: pane.title.value, drawing }] : [];
  });
  return view ? saveParts(store, parts, nameOf(store, store.panes.value, view.name), kind) : NOTHING;
}

/** Saves the grid of heads of the chosen group. */
async function saveGrid(store: Store, kind: "png" | "svg"): Promise<string> {
  const [pane] = store.panes.value;
  const drawing = grid.drawing(store, pane!);
  const parts = drawing ? [{ title: store.report.group(store.choice.value).name, drawing }] : [];
  return saveParts(store, parts, nameOf(store, [pane!], "heads"), kind);
}

async function saveParts(store: Store, parts: Titled[], name: string, kind: "png" | "svg"): Promise<string> {
  if (parts.length === 0) return NOTHING;
  const title = store.report.runs.map((run) => run.title).join(" · ");
  download(await fileOf(title, parts, kind), `${name}.${kind}`);
  return `Saved as ${name}.${kind}.`;
}

/** The buttons that save the grid. */
export function GridActions({ store }: { store: Store }) {
  const save = (kind: "png" | "svg") => saveGrid(store, kind).then(say, (wrong) => say(`Not saved: ${wrong}`));
  return (
    <p class="soft" id="save-grid">
      Save all heads as{" "}
      <button type="button" id="save-grid-png" onClick={() => save("png")}>
        PNG
      </button>{" "}
      <button type="button" id="save-grid-svg" onClick={() => save("svg")}>
        SVG
      </button>
    </p>
  );
}

/** Saves the weights of all panes in one file: browsers let a page save no second one unasked. */
function saveTable(store: Store): string {
  const panes = store.panes.value;
  const heads = panes.flatMap(({ id, reading: { value: reading }, title, queries, keys }) => {
    const head = `${id.toUpperCase()}: ${title.value}`;
    return reading ? [{ head, reading, queries: queries.value, keys: keys.value }] : [];
  });
  if (heads.length < panes.length) return "Not saved: a head is still being read.";
  const { unit, pooling, hide } = store.options;
  const text = tableOf(heads, { unit: unit.value, pooling: pooling.value, hide: hide.value });
  const name = `${nameOf(store, panes, "weights")}.csv`;
  download(new Blob([text], { type: "text/csv" }), name);
  return `Saved as ${name}.`;
}
