/** The hard alignment as text: pairs of word numbers, to be copied. */

import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import type { Pane, Store } from "../../state/store";
import { chosenOf } from "./chosen";
import { aligned, pharaoh } from "./pairs";
import { wholePair } from "./scene";

/** A field with the pairs, and what copies them; only where every weight is known. */
export function Pharaoh({ store, pane }: { store: Store; pane: Pane }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const copied = useSignal("");
  const reading = pane.reading.value;
  if (reading === null || reading.signed) return null;
  if (!reading.exact)
    return <p class="soft">Pairs of words are listed where the page holds every weight; here it holds cells.</p>;
  const pair = wholePair(store, pane, reading);
  const text = pharaoh(aligned(reading, pair, chosenOf(pane).rule.value, store.options.least.value), pair);
  const copy = async () => {
    field.current!.select();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page in a frame may not write; what is selected can be copied all the same.
      document.execCommand("copy");
    }
    copied.value = text;
  };
  return (
    <div class="alignment-pairs">
      <label for={`alignment-pairs-${pane.id}`}>
        Source–target pairs, counted in {store.options.unit.value} from 0
      </label>
      <textarea ref={field} id={`alignment-pairs-${pane.id}`} readOnly rows={2} spellcheck={false} value={text} />
      <button type="button" id={`alignment-copy-${pane.id}`} onClick={copy}>
        {copied.value === text && text ? "copied" : "copy as Pharaoh"}
      </button>
    </div>
  );
}
