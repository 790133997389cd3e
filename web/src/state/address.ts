/** The state of the page in its address, so that a link shows what its sender saw. */

import { effect } from "@preact/signals";
import type { Choice } from "../content/report";
import type { Store } from "./store";

const OPTIONS = [
  "unit",
  "pooling",
  "scale",
  "reach",
  "hide",
  "palette",
  "theme",
  "direction",
  "sort",
  "colour",
  "opacity",
  "least",
] as const;

/** Takes the state from the address, and writes it there from then on. */
export function followAddress(store: Store): void {
  const standard = written(store);
  read(store, new URLSearchParams(location.hash.slice(1)));
  window.addEventListener("hashchange", () => read(store, new URLSearchParams(location.hash.slice(1))));
  effect(() => {
    const state = written(store);
    const changed = [...state].filter(([name, value]) => standard.get(name) !== value);
    const hash = new URLSearchParams(changed).toString();
    if (hash === location.hash.slice(1)) return;
    try {
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    } catch {
      // A page inside a notebook has no address of its own.
    }
  });
}

/** The state as names and values. */
function written(store: Store): Map<string, string> {
  const state = new Map<string, string>();
  state.set("head", headName(store.choice.value));
  state.set("with", headName(store.other.value));
  state.set("compare", store.comparison.value);
  state.set("view", store.view.value);
  state.set("together", store.together.value.map(headName).join("_"));
  state.set("queries", rangeName(store.pinned.value?.queries));
  state.set("keys", rangeName(store.pinned.value?.keys));
  for (const name of OPTIONS) state.set(name, String(store.options[name].value));
  return state;
}

const headName = ({ run, group, layer, head }: Choice) => `${run}.${group}.${layer}.${head}`;
const rangeName = (range: { from: number; to: number } | null | undefined) =>
  range ? `${range.from}-${range.to}` : "";

/** Sets what the address names; what it does not know or cannot be is left as it is. */
function read(store: Store, address: URLSearchParams): void {
  const heads = (name: string) =>
    (address.get(name) ?? "")
      .split("_")
      .map(head)
      .filter((choice) => choice !== null);
  const head = (text: string): Choice | null => {
    const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)?.slice(1).map(Number);
    if (!parts) return null;
    const [run, group, layer, number] = parts as [number, number, number, number];
    const choice = { run, group, layer, head: number };
    return store.report.has(choice) ? choice : null;
  };
  store.choice.value = heads("head")[0] ?? store.choice.value;
  store.other.value = heads("with")[0] ?? store.other.value;
  store.together.value = heads("together");
  const comparison = address.get("compare");
  if (comparison === "off" || comparison === "beside" || comparison === "difference")
    store.comparison.value = comparison;
  store.view.value = address.get("view") ?? store.view.value;
  const queries = range(address.get("queries"), store.report.queries(store.choice.value).tokens);
  const keys = range(address.get("keys"), store.report.keys(store.choice.value).tokens);
  if (queries || keys) store.pinned.value = { queries, keys };
  for (const name of OPTIONS) {
    const value = address.get(name);
    if (value !== null && isAllowed(name, value)) store.options[name].value = typed(name, value) as never;
  }
}

const ALLOWED: Partial<Record<(typeof OPTIONS)[number], readonly string[]>> = {
  unit: ["words", "tokens"],
  pooling: ["mean", "max"],
  scale: ["linear", "root", "log"],
  reach: ["one", "largest"],
  hide: ["true", "false"],
  palette: ["cividis", "viridis", "magma", "greys"],
  theme: ["system", "light", "dark"],
  direction: ["attends to", "attended by"],
};

const isAllowed = (name: (typeof OPTIONS)[number], value: string) => ALLOWED[name]?.includes(value) ?? true;

function typed(name: (typeof OPTIONS)[number], value: string): string | number | boolean {
  if (name === "hide") return value === "true";
  if (name === "opacity" || name === "least") return Math.min(1, Math.max(0, Number(value) || 0));
  return value;
}

function range(text: string | null, count: number): { from: number; to: number } | null {
  const [from, to] =
    /^(\d+)-(\d+)$/
      .exec(text ?? "")
      ?.slice(1)
      .map(Number) ?? [];
  return from !== undefined && to !== undefined && from < to && to <= count ? { from, to } : null;
}
