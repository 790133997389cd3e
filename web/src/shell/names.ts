/** Names of saved files. */

import { placeName } from "../content/naming";
import type { Pane, Store } from "../state/store";

const LONGEST = 60;

/** The name of a file of these panes, without its ending: what any system takes, and tells the report and the heads. */
export function nameOf(store: Store, panes: readonly Pane[], what: string): string {
  const choices =
    store.compared.value === "difference"
      ? [store.choice.value, store.other.value]
      : panes.map((pane) => pane.choice.value);
  const runs = [...new Set(choices.map(({ run }) => store.report.runs[run]!.title))];
  const heads = choices.map((choice) => plain(placeName(store.report.group(choice), choice)));
  const between = store.compared.value === "difference" ? "-minus-" : "-beside-";
  return [plain(runs.join(" ")), what, heads.join(between)].filter(Boolean).join("-");
}

const plain = (text: string) =>
  text
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .slice(0, LONGEST)
    .replace(/^-+|-+$/g, "");
