/** Settings that one view keeps to itself; they stand in the address as the options of all views do. */

import { type Signal, signal } from "@preact/signals";

/** One setting: its signal as text, which is "" for the standard. */
interface Setting {
  written(): string;
  follow(text: string): void;
}

const settings = new Map<string, Setting>();
/** Grows with each setting, for those that read all of them. */
const count = signal(0);
/** What the address says of settings whose view has not been opened yet. */
let asked = new URLSearchParams();

/** Reads one of a few values. */
export const oneOf =
  <T>(...values: readonly T[]) =>
  (text: string): T | undefined =>
    values.find((value) => String(value) === text);

/** Reads a number within bounds. */
export const within =
  (least: number, most: number) =>
  (text: string): number | undefined => {
    const number = Number(text);
    return text.trim() !== "" && number >= least && number <= most ? number : undefined;
  };

/**
 * A setting with a name of its own in the address.
 *
 * @param read tells a value from its text; undefined: it is none.
 */
export function setting<T>(name: string, standard: T, read: (text: string) => T | undefined): Signal<T> {
  const told = (text: string) => (text === "" ? undefined : read(text)) ?? standard;
  const value = signal(told(asked.get(name) ?? ""));
  settings.set(name, {
    written: () => (value.value === standard ? "" : String(value.value)),
    follow: (text) => {
      value.value = told(text);
    },
  });
  // Settings may be made while something is computed, which must change nothing.
  queueMicrotask(() => {
    count.value = settings.size;
  });
  return value;
}

/** The settings that are not the standard, by name. */
export function writtenSettings(): [name: string, text: string][] {
  count.value;
  return [...settings].map(([name, { written }]) => [name, written()]);
}

/** Sets all settings to what an address names, and those it does not name to the standard. */
export function followSettings(address: URLSearchParams): void {
  asked = address;
  for (const [name, { follow }] of settings) follow(address.get(name) ?? "");
}
