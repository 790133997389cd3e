/** What the reader chose: one selection and one set of options, which all views share. */

import { computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { Combined, comparable, WithoutKeys } from "../content/changed_reading";
import { type Positions, type Range, same, type Unit } from "../content/positions";
import type { Reading } from "../content/reading";
import { type Choice, type Report, sameHead } from "../content/report";
import type { Group } from "../content/schema";

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
}

/** The state of the page. */
export class Store {
  readonly choice: Signal<Choice>;
  /** The head that is compared with, where one is. */
  readonly other: Signal<Choice>;
  readonly comparison = signal<Comparison>("off");
  /** Heads that are drawn together where a view can, the chosen one among them. */
  readonly together: Signal<readonly Choice[]> = signal([]);
  readonly view = signal("map");
  readonly pointed = signal<Selection | null>(null);
  readonly pinned = signal<Selection | null>(null);
  /** What counts now: what is pointed at, else what is pinned. */
  readonly selection = computed(() => this.pointed.value ?? this.pinned.value);
  readonly options: Options = {
    unit: signal<Unit>("words"),
    pooling: signal<Pooling>("mean"),
    scale: signal<Scale>("root"),
    reach: signal<Reach>("one"),
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
  /** The heads of `together` beside the chosen one that have its positions, and their weights. */
  readonly companions: ReadonlySignal<readonly Choice[]>;
  readonly companionReadings: ReadonlySignal<readonly Reading[] | null>;

  constructor(readonly report: Report) {
    const first = report.first(0, 0);
    this.choice = signal(first);
    this.other = signal(report.runs.length > 1 ? report.first(1, 0) : first);
    const plain = { a: this.readingOf(this.choice), b: this.readingOf(this.other) };
    const difference = computed(() => subtracted(plain.a.value, plain.b.value));
    const a = this.pane("a", this.choice, plain.a);
    const b = this.pane("b", this.other, plain.b);
    const told = computed(() => `${a.title.value} − ${b.title.value}`);
    const both = { ...a, reading: difference, title: told };
    this.panes = computed(() => ({ off: [a], beside: [a, b], difference: [both] })[this.comparison.value]);
    this.companions = computed(() => {
      const chosen = this.choice.value;
      const fits = (each: Choice) => each.run === chosen.run && each.group === chosen.group;
      return this.together.value.filter((each) => fits(each) && !sameHead(each, chosen));
    });
    this.companionReadings = this.readingsOf(this.companions);
  }

  /** Whether the two heads of a comparison can be told apart number by number; null while they are decoded. */
  readonly canSubtract = (): boolean => {
    const [one, other] = [this.choice.value, this.other.value];
    const [a, b] = [one, other].map((choice) => [this.report.queries(choice), this.report.keys(choice)]);
    const unit = this.options.unit.value;
    return a!.every((positions, side) => positions.count(unit) === b![side]!.count(unit));
  };

  /** Shows a head; what is pinned is dropped where the positions are others. */
  choose(choice: Choice): void {
    const before = this.choice.value;
    if (before.run !== choice.run || before.group !== choice.group) {
      this.pinned.value = this.pointed.value = null;
      this.together.value = [];
    }
    this.choice.value = choice;
  }

  /** Pins what is selected, or lets go of it where it was pinned already. */
  pin(selection: Selection): void {
    const before = this.pinned.value;
    const isSame = same(before?.queries ?? null, selection.queries) && same(before?.keys ?? null, selection.keys);
    this.pinned.value = isSame ? null : selection;
    this.pointed.value = null;
  }

  /** Adds a head to those that are drawn together, or takes it out. */
  toggle(choice: Choice): void {
    const others = this.together.value.filter((each) => !sameHead(each, choice));
    this.together.value = others.length < this.together.value.length ? others : [...others, choice];
  }

  /** The weights of a head as the options ask for them, decoded in the background. */
  readingOf(choice: ReadonlySignal<Choice>): ReadonlySignal<Reading | null> {
    const readings = this.readingsOf(computed(() => [choice.value]));
    return computed(() => readings.value?.[0] ?? null);
  }

  /** The weights of heads likewise; null while one of them is being decoded. */
  private readingsOf(choices: ReadonlySignal<readonly Choice[]>): ReadonlySignal<readonly Reading[] | null> {
    const decoded = signal<{ asked: readonly Choice[]; unit: Unit; readings: readonly Reading[] } | null>(null);
    effect(() => {
      const [asked, unit] = [choices.value, this.options.unit.value];
      Promise.all(asked.map((choice) => this.report.read(choice, unit))).then((readings) => {
        if (choices.peek() === asked && this.options.unit.peek() === unit)
          decoded.value = { asked, unit, readings };
      });
    });
    return computed(() => {
      const { asked, unit, readings } = decoded.value ?? {};
      if (!asked || !readings || asked !== choices.value || unit !== this.options.unit.value) return null;
      return readings.map((reading, place) => this.shown(asked[place]!, reading));
    });
  }

  /** A reading as the options ask for it. */
  private shown(choice: Choice, reading: Reading): Reading {
    if (!this.options.hide.value) return reading;
    const [keys, unit] = [this.report.keys(choice), this.options.unit.value];
    return new WithoutKeys(reading, (key) => keys.isSink(unit, key));
  }

  private pane(id: "a" | "b", choice: Signal<Choice>, reading: ReadonlySignal<Reading | null>): Pane {
    return {
      id,
      choice,
      reading,
      group: computed(() => this.report.group(choice.value)),
      queries: computed(() => this.report.queries(choice.value)),
      keys: computed(() => this.report.keys(choice.value)),
      title: computed(() => this.title(choice.value)),
    };
  }

  /** A head in words. */
  title(choice: Choice): string {
    const { layer, head, run } = choice;
    const of = this.report.runs.length > 1 ? ` of ${this.report.runs[run]!.title}` : "";
    return `Layer ${layer}, head ${head}: ${this.report.head(choice).kind}${of}`;
  }
}

function subtracted(a: Reading | null, b: Reading | null): Reading | null {
  if (a === null || b === null || !comparable(a, b)) return null;
  const parts = [
    { reading: a, factor: 1 },
    { reading: b, factor: -1 },
  ];
  return new Combined(parts, true);
}
