/** Keys that do what the options do, wherever on the page the reader is. */

import { type Signal, signal } from "@preact/signals";
import type { Store } from "../state/store";
import { fitting } from "./fitting";
import { show } from "./heads";

/** A key, what it does in words, and what it does. */
export interface Key {
  key: string;
  says: string;
  press(store: Store): void;
}

/** Whether single letters are keys: some readers dictate, and their words would press them. */
export const listening = signal(true);

/** All keys that hold on the whole page, beside the digits of the views and those that let go or help. */
export const KEYS: readonly Key[] = [
  { key: "[", says: "previous layer", press: (store) => step(store, "layer", -1) },
  { key: "]", says: "next layer", press: (store) => step(store, "layer", 1) },
  { key: ",", says: "previous head", press: (store) => step(store, "head", -1) },
  { key: ".", says: "next head", press: (store) => step(store, "head", 1) },
  { key: "w", says: "words or tokens", press: ({ options }) => next(options.unit, ["words", "tokens"]) },
  {
    key: "m",
    says: "cells: together or the largest",
    press: ({ options }) => next(options.pooling, ["mean", "max"]),
  },
  { key: "l", says: "next scale", press: ({ options }) => next(options.scale, ["linear", "root", "log"]) },
  { key: "h", says: "hide sinks, or show them", press: ({ options }) => next(options.hide, [true, false]) },
  {
    key: "c",
    says: "compare: off, beside, difference",
    press: ({ comparison, refusal }) =>
      next(comparison, refusal.value ? ["off", "beside"] : ["off", "beside", "difference"]),
  },
];

const WRITES = "select, textarea, [contenteditable], input:not([type=checkbox], [type=radio], [type=range])";

/** Listens to keys; returns what ends it. */
export function listen(store: Store, help: () => void): () => void {
  const press = (event: KeyboardEvent) => {
    const isWritten = event.target instanceof Element && event.target.closest(WRITES) !== null;
    if (event.defaultPrevented || isWritten || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") return store.letGo();
    // On some keyboards brackets are typed with a key that counts as control and alt at once.
    const isCommand = (event.ctrlKey || event.altKey || event.metaKey) && !event.getModifierState("AltGraph");
    if (isCommand || !listening.value) return;
    const action = event.key === "?" ? help : actionOf(store, event.key);
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", press);
  return () => document.removeEventListener("keydown", press);
}

function actionOf(store: Store, key: string): (() => void) | undefined {
  const known = KEYS.find((each) => each.key === key.toLowerCase());
  if (known) return () => known.press(store);
  const view = /^[1-9]$/.test(key) ? fitting(store)[Number(key) - 1] : undefined;
  if (!view) return undefined;
  return () => {
    store.view.value = view.name;
  };
}

/** Goes to the head so many layers or heads on; at the ends it stays. */
function step(store: Store, along: "layer" | "head", by: number): void {
  const choice = store.choice.peek();
  const goal = { ...choice, [along]: choice[along] + by };
  const goals = along === "layer" ? [goal, { ...goal, head: 0 }] : [goal];
  const found = goals.find((each) => store.report.has(each));
  if (found) show(store, found);
}

function next<T>(option: Signal<T>, values: readonly T[]): void {
  option.value = values[(values.indexOf(option.peek()) + 1) % values.length]!;
}
