/** Saves what is shown, copies a link to it, and helps. */

import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { download, fileOf } from "../drawing/saving";
import { panesOf } from "../state/linked";
import type { Store } from "../state/store";
import { say } from "./done";
import { opened } from "./fitting";
import { nameOf } from "./names";
import { tableOf } from "./table";

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

async function savePicture(store: Store, kind: "png" | "svg"): Promise<string> {
  const view = opened(store);
  const parts = panesOf(store).flatMap(([own, pane]) => {
    const drawing = view?.drawing(own, pane);
    return drawing ? [{ title: pane.title.value, drawing }] : [];
  });
  if (!view || parts.length === 0) return "There is nothing to save.";
  const title = store.report.runs.map((run) => run.title).join(" · ");
  const name = `${nameOf(store, store.panes.value, view.name)}.${kind}`;
  download(await fileOf(title, parts, kind), name);
  return `Saved as ${name}.`;
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
