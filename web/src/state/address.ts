/** The state of the page in its address, so that a link shows what its sender saw. */

import { batch, effect, type Signal } from "@preact/signals";
import type { Range } from "../content/positions";
import { type Choice, sameHead } from "../content/report";
import { followSettings, writtenSettings } from "./settings";
import type { Options, Store } from "./store";

const ALLOWED: Partial<Record<keyof Options, readonly string[]>> = {
  unit: ["words", "tokens"],
  pooling: ["mean", "max"],
  scale: ["linear", "root", "log"],
  reach: ["one", "largest"],
  hide: ["true", "false"],
  palette: ["cividis", "viridis", "magma", "greys"],
  theme: ["system", "light", "dark"],
  direction: ["attends to", "attended by"],
};

/** How many heads an address may ask to be drawn together. */
const MOST_TOGETHER = 8;

/** Another head, view or comparison is a step that the browser's back button undoes; options and pins are none. */
const STEPS = ["head", "with", "compare", "view"];

/** How long the state must stay as it is before it is written: browsers limit how often a page may do that. */
const QUIET = 120;

/** The state as names and values. */
export type Written = ReadonlyMap<string, string>;

/** The state of a store. */
export function written(store: Store): Written {
  const state = new Map<string, string>();
  state.set("head", headName(store.choice.value));
  const other = store.other.value;
  state.set("with", sameHead(other, store.otherThan(store.choice.value)) ? "" : headName(other));
  state.set("compare", store.comparison.value);
  state.set("view", store.view.value);
  state.set("together", store.together.value.map(headName).join("_"));
  state.set("queries", rangeName(store.pinned.value?.queries));
  state.set("keys", rangeName(store.pinned.value?.keys));
  for (const [name, { value }] of optionsOf(store)) state.set(name, String(value));
  for (const [name, text] of writtenSettings()) state.set(name, text);
  return state;
}

/** What of a state is not the standard, as it stands behind the # of an address. */
export function addressOf(state: Written, standard: Written): string {
  return new URLSearchParams([...state].filter(([name, value]) => (standard.get(name) ?? "") !== value)).toString();
}

/** Sets the store to what an address names; what it does not name, or names wrongly, is set to the standard. */
export function follow(store: Store, address: string, standard: Written, views: readonly string[]): void {
  const asked = new URLSearchParams(address);
  const { report } = store;
  const of = (name: string) => asked.get(name) ?? standard.get(name) ?? "";
  const heads = (text: string) =>
    text
      .split("_")
      .slice(0, MOST_TOGETHER)
      .map(headNamed)
      .filter((choice) => choice !== null && report.has(choice)) as Choice[];
  batch(() => {
    const choice = heads(of("head"))[0] ?? report.opening();
    const isBeside = (other: Choice) => other.run === choice.run && other.group === choice.group;
    store.choice.value = choice;
    store.other.value = heads(of("with"))[0] ?? store.otherThan(choice);
    store.together.value = heads(of("together")).filter(
      (each, place, all) => isBeside(each) && all.findIndex((other) => sameHead(each, other)) === place,
    );
    const comparison = [of("compare"), standard.get("compare")].find(
      (name) => name === "off" || name === "beside" || name === "difference",
    );
    if (comparison) store.comparison.value = comparison;
    store.view.value = views.includes(of("view")) ? of("view") : (standard.get("view") ?? "");
    const queries = range(of("queries"), report.queries(choice).tokens);
    const keys = range(of("keys"), report.keys(choice).tokens);
    store.letGo();
    if (queries || keys) store.pinned.value = { queries, keys };
    for (const [name, option] of optionsOf(store)) {
      const value = isAllowed(store, name, of(name)) ? of(name) : standard.get(name)!;
      option.value = typed(value, option.peek());
    }
    followSettings(asked);
  });
}

/** Takes the state from the address of the page and writes it there from then on; returns what tells a link to it. */
export function followAddress(store: Store, views: readonly string[]): () => string {
  const standard = written(store);
  let known = location.hash;
  const read = () => {
    known = location.hash;
    follow(store, known.slice(1), standard, views);
  };
  read();
  window.addEventListener("hashchange", read);
  let before: Written = written(store);
  let waiting: ReturnType<typeof setTimeout> | undefined;
  effect(() => {
    const state = written(store);
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      // An address that somebody has just written is read first.
      if (location.hash !== known) return;
      const isStep = STEPS.some((name) => state.get(name) !== before.get(name));
      before = state;
      put(addressOf(state, standard), isStep);
      known = location.hash;
    }, QUIET);
  });
  return () => {
    const hash = `#${addressOf(written(store), standard)}`;
    // A page inside a notebook has no address: what stands behind that of the saved page is told.
    return /^(file|https?):/.test(location.protocol) ? location.href.replace(/#.*|$/, hash) : hash;
  };
}

function put(address: string, isStep: boolean): void {
  if (address === location.hash.slice(1)) return;
  const whole = address ? `#${address}` : location.pathname + location.search;
  try {
    // The steps of a page inside another are not those of the browser's button.
    if (isStep && window.parent === window) history.pushState(null, "", whole);
    else history.replaceState(null, "", whole);
  } catch {
    // A page inside a notebook has no address of its own.
  }
}

const optionsOf = (store: Store) =>
  Object.entries(store.options) as [keyof Options, Signal<string | number | boolean>][];

const headName = ({ run, group, layer, head }: Choice) => `${run}.${group}.${layer}.${head}`;
const rangeName = (range: Range | null | undefined) => (range ? `${range.from}-${range.to}` : "");

function headNamed(text: string): Choice | null {
  const parts = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)?.slice(1).map(Number);
  if (!parts) return null;
  const [run, group, layer, head] = parts as [number, number, number, number];
  return { run, group, layer, head };
}

function isAllowed(store: Store, name: keyof Options, value: string): boolean {
  if (name === "sort" || name === "colour")
    return (
      value === "" || store.report.runs.some(({ groups }) => groups.some(({ facts }) => facts.includes(value)))
    );
  if (name === "opacity" || name === "least")
    return value.trim() !== "" && Number(value) >= 0 && Number(value) <= 1;
  return ALLOWED[name]?.includes(value) ?? true;
}

function typed(value: string, like: string | number | boolean): string | number | boolean {
  if (typeof like === "boolean") return value === "true";
  return typeof like === "number" ? Number(value) : value;
}

function range(text: string, count: number): Range | null {
  const [from, to] = /^(\d+)-(\d+)$/.exec(text)?.slice(1).map(Number) ?? [];
  return from !== undefined && to !== undefined && from < to && to <= count ? { from, to } : null;
}
