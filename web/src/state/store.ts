/** What the reader chose: one selection and one set of options, which all views share. */

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { comparable, Difference, WithoutKeys } from "../content/changed_reading";
import { headName, layerNumber } from "../content/naming";
import { type Positions, type Range, same, type Unit } from "../content/positions";
import type { Reading } from "../content/reading";
import { type Choice, type Report, sameHead } from "../content/report";
import type { Group } from "../content/schema";
import { followed, type Shown } from "./followed";
import { refusalOf } from "./refusal";

/** What a reader points at or pinned, in tokens: queries, keys, or a spot of the map. */
export interface Selection {
  queries: Range | null;
  keys: Range | null;
}

export type Pooling = "mean" | "max";
export type Scale = "linear" | "root" | "log";
/** Whether colours run up to weight 1, or to the largest weight that is shown. */
export type Reach = "one" | "largest";
export type Palette = "cividis" | "viridis" | "magma" | "greys";
export type Theme = "system" | "light" | "dark";
export type Comparison = "off" | "beside" | "difference";
/** In texts: what the chosen word attends to, or who attends to it. */
export type Direction = "attends to" | "attended by";

/** The options, each a signal. */
export interface Options {
  unit: Signal<Unit>;
  pooling: Signal<Pooling>;
  scale: Signal<Scale>;
  reach: Signal<Reach>;
  /** Whether sinks and separators take no weight. */
  hide: Signal<boolean>;
  palette: Signal<Palette>;
  theme: Signal<Theme>;
  direction: Signal<Direction>;
  /** The statistic that sorts the grid of heads, "" for layer by layer, and the one that colours its frames. */
  sort: Signal<string>;
  colour: Signal<string>;
  /** How much of an image the weights cover, 0 to 1. */
  opacity: Signal<number>;
  /** The smallest weight that is drawn as a line. */
  least: Signal<number>;
}

/** One head in one place of the page: what views draw. */
export interface Pane {
  id: "a" | "b";
  choice: ReadonlySignal<Choice>;
  group: ReadonlySignal<Group>;
  queries: ReadonlySignal<Positions>;
  keys: ReadonlySignal<Positions>;
  /** The weights in the chosen units; null while they are being decoded. */
  reading: ReadonlySignal<Reading | null>;
  /** The head in words. */
  title: ReadonlySignal<string>;
  /** Why it cannot be shown, "" where it can. */
  wrong: ReadonlySignal<string>;
  /** Whether another head is asked for, and not decoded yet. */
  waiting: ReadonlySignal<boolean>;
}

/** The state of the page. */
export class Store {
  /** The store that others are made of, as the first pane reads it. */
  readonly root: Store = this;
  readonly choice: Signal<Choice>;
  /** The head that is compared with, where one is. */
  readonly other: Signal<Choice>;
  readonly comparison = signal<Comparison>("off");
  /** Further heads of the same group that are drawn together with the chosen one, where a view can. */
  readonly together: Signal<readonly Choice[]> = signal([]);
  readonly view: Signal<string>;
  readonly pointed = signal<Selection | null>(null);
  readonly pinned = signal<Selection | null>(null);
  /** What counts now: what is pointed at, else what is pinned. */
  readonly selection: ReadonlySignal<Selection | null> = computed(() => this.pointed.value ?? this.pinned.value);
  /** What is selected in a second pane whose words are not those of the first. */
  readonly apart = { pointed: signal<Selection | null>(null), pinned: signal<Selection | null>(null) };
  readonly options: Options = {
    unit: signal<Unit>("words"),
    pooling: signal<Pooling>("mean"),
    scale: signal<Scale>("root"),
    // Weights on many positions are small: up to 1 most maps would look alike.
    reach: signal<Reach>("largest"),
    hide: signal(false),
    palette: signal<Palette>("cividis"),
    theme: signal<Theme>("system"),
    direction: signal<Direction>("attends to"),
    sort: signal(""),
    colour: signal(""),
    opacity: signal(0.6),
    least: signal(0.05),
  };
  /** The panes to draw: one, or two side by side. */
  readonly panes: ReadonlySignal<readonly Pane[]>;
  /** The heads of `together` beside the chosen one, and their weights; null while they are being decoded. */
  readonly companions = computed(() => this.together.value.filter((each) => !sameHead(each, this.choice.value)));
  readonly companionReadings: ReadonlySignal<readonly Reading[] | null>;
  /** Why the two heads cannot be subtracted, "" where they can. */
  readonly refusal = computed(() =>
    refusalOf(this.report, this.choice.value, this.other.value, this.options.unit.value),
  );

  constructor(readonly report: Report) {
    this.companionReadings = this.readingsOf(this.companions);
    const first = report.opening();
    this.choice = signal(first);
    this.view = signal(report.runs[first.run]!.view ?? "map");
    this.other = signal(this.otherThan(first));
    this.comparison.value = report.runs.length > 1 ? "beside" : "off";
    const a = this.pane("a", this.choice);
    const b = this.pane("b", this.other);
    const difference = computed(() => subtracted(a.reading.value, b.reading.value));
    const isOdd = () => a.reading.value && b.reading.value && !difference.value;
    const both: Pane = {
      ...a,
      reading: difference,
      title: computed(() => this.differenceTitle(a.choice.value, b.choice.value)),
      wrong: computed(
        () => a.wrong.value || b.wrong.value || (isOdd() ? "The cells of these heads hold different words." : ""),
      ),
      waiting: computed(() => a.waiting.value || b.waiting.value),
    };
    const panes = { off: [a], beside: [a, b], difference: [both] };
    this.panes = computed(() => panes[this.compared.value]);
  }

  /** The comparison that is shown: heads that cannot be subtracted stand beside one another. */
  readonly compared = computed(() =>
    this.comparison.value === "difference" && this.refusal.value ? "beside" : this.comparison.value,
  );

  /** Shows a head; what is pinned is dropped where the positions are others. A head to compare with follows until chosen. */
  choose(choice: Choice): void {
    const before = this.choice.peek();
    const other = this.other.peek();
    batch(() => {
      if (before.run !== choice.run || before.group !== choice.group) {
        this.letGo();
        this.together.value = [];
      }
      const follows = this.report.runs.length > 1 || this.comparison.peek() === "off";
      if (follows && sameHead(other, this.otherThan(before))) this.other.value = this.otherThan(choice);
      this.choice.value = choice;
    });
  }

  /** Puts each of the two heads in the other's place. */
  swap(): void {
    batch(() => {
      const [choice, other] = [this.choice.peek(), this.other.peek()];
      if (choice.run !== other.run || choice.group !== other.group) {
        this.letGo();
        this.together.value = [];
      }
      [this.choice.value, this.other.value] = [other, choice];
    });
  }

  /** Lets go of all that is pointed at or pinned. */
  letGo(): void {
    batch(() => {
      this.pinned.value = this.pointed.value = null;
      this.apart.pinned.value = this.apart.pointed.value = null;
    });
  }

  /** Pins what is selected, or lets go of it where it was pinned already. */
  pin(selection: Selection): void {
    const before = this.pinned.value;
    const isSame = same(before?.queries ?? null, selection.queries) && same(before?.keys ?? null, selection.keys);
    batch(() => {
      this.pinned.value = isSame ? null : selection;
      this.pointed.value = null;
    });
  }

  /** Adds a head to those that are drawn together with the chosen one, or takes it out. */
  toggle(choice: Choice): void {
    const shown = this.choice.peek();
    if (choice.run !== shown.run || choice.group !== shown.group || sameHead(choice, shown)) return;
    const before = this.together.peek();
    const others = before.filter((each) => !sameHead(each, choice));
    this.together.value = others.length < before.length ? others : [...others, choice];
  }

  /** The weights of heads, decoded in the background while somebody reads them; null until all are. */
  private readingsOf(choices: ReadonlySignal<readonly Choice[]>): ReadonlySignal<readonly Reading[] | null> {
    const { shown, waiting } = followed(this.report, choices);
    const readings = this.readings(shown);
    return computed(() => (waiting.value ? null : readings.value));
  }

  /** What is shown, in the units that the options ask for. */
  private readings(shown: ReadonlySignal<Shown | null>): ReadonlySignal<readonly Reading[] | null> {
    const plain = computed(() => {
      const { choices, decoded } = shown.value ?? {};
      const unit = this.options.unit.value;
      return decoded?.map((each, place) => this.report.reading(choices![place]!, each, unit)) ?? null;
    });
    return computed(() => {
      const { unit, hide } = this.options;
      if (plain.value === null || !hide.value) return plain.value;
      const sinks = (place: number) => this.report.keys(shown.value!.choices[place]!).sinks(unit.value);
      return plain.value.map((reading, place) => new WithoutKeys(reading, sinks(place)));
    });
  }

  private pane(id: "a" | "b", asked: ReadonlySignal<Choice>): Pane {
    const { shown, waiting } = followed(
      this.report,
      computed(() => [asked.value]),
    );
    const choice = computed(() => shown.value?.choices[0] ?? asked.value);
    const readings = this.readings(shown);
    return {
      ...{ id, choice, waiting },
      group: computed(() => this.report.group(choice.value)),
      queries: computed(() => this.report.queries(choice.value)),
      keys: computed(() => this.report.keys(choice.value)),
      reading: computed(() => readings.value?.[0] ?? null),
      title: computed(() => this.title(choice.value)),
      wrong: computed(() => shown.value?.wrong ?? ""),
    };
  }

  /** What a head is compared with at first: that of another run, or else the next one. */
  otherThan(choice: Choice): Choice {
    const { run, group, layer, head } = choice;
    if (this.report.runs.length > 1) {
      const other = run === 0 ? 1 : 0;
      return this.report.counterpart(choice, other) ?? this.report.first(other, 0);
    }
    const next = [
      { run, group, layer, head: head + 1 },
      { run, group, layer: layer + 1, head: 0 },
      { run, group, layer, head: 0 },
    ];
    return next.find((each) => this.report.has(each)) ?? choice;
  }

  /** A head in words. */
  title(choice: Choice): string {
    const of = this.report.runs.length > 1 ? ` · ${this.report.runs[choice.run]!.title}` : "";
    return `${this.place(choice)}: ${this.report.head(choice).kind}${of}`;
  }

  /** A difference in words, with what the two heads share said once. */
  private differenceTitle(a: Choice, b: Choice): string {
    const [place, other] = [this.place(a), this.place(b)];
    const [run, otherRun] = [a, b].map((each) => this.report.runs[each.run]!.title);
    if (a.run === b.run) return `${place} − ${other.replace(/^L/, "l")}`;
    return place === other ? `${place}: ${run} − ${otherRun}` : `${this.title(a)} − ${this.title(b)}`;
  }

  private place(choice: Choice): string {
    const group = this.report.group(choice);
    const isOne = this.report.runs[choice.run]!.groups.length === 1;
    const told = group.headName ? [group.name] : [headName(group, choice.head), ...(isOne ? [] : [group.name])];
    return [`Layer ${layerNumber(group, choice.layer)}`, ...told].join(", ");
  }
}

const subtracted = (a: Reading | null, b: Reading | null): Reading | null =>
  a && b && comparable(a, b) ? new Difference(a, b) : null;
