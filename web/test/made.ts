/** Reports and positions made for tests, without a page. */

import { Positions } from "../src/content/positions";
import { type Choice, type Decoded, Report } from "../src/content/report";
import type { Group, Head, Layer, Run } from "../src/content/schema";

/** Numbers from 0 to 1 that depend on the seed alone (a linear congruential generator). */
export function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Positions whose words hold so many tokens. */
export function positions(sizes: readonly number[], special: number[] = [], separators: number[] = []): Positions {
  const wordOf = sizes.flatMap((size, word) => Array<number>(size).fill(word));
  const words = sizes.map((_, word) => `word${word}`);
  return new Positions(
    words,
    wordOf.map((_, token) => `token${token}`),
    Uint32Array.from(wordOf),
    new Set(special),
    separators,
    [],
  );
}

/** Weights of which each row sums to 1. */
export function weights(rows: number, columns: number, seed = 1): Float32Array {
  const next = numbers(seed);
  const made = Float32Array.from({ length: rows * columns }, () => next() ** 6);
  for (let row = 0; row < rows; row++) {
    const part = made.subarray(row * columns, (row + 1) * columns);
    const total = part.reduce((sum, weight) => sum + weight, 0);
    for (let place = 0; place < columns; place++) part[place]! /= total;
  }
  return made;
}

const head = (tokens: number): Head => ({
  kind: "broad",
  facts: [0.5],
  map: { form: "full", rows: tokens, columns: tokens, high: 0, low: 0, fine: 0 },
  links: null,
  rows: null,
});

function run(title: string, tokens: number, names: readonly string[]): Run {
  const layer = (name: string): Layer => ({
    ...{ name, heads: [head(tokens), head(tokens), head(tokens)] },
    ...{ entropy: 0, entropyScale: 1, received: 0, receivedScale: 1, queriesAPoint: 1, keysAPoint: 1 },
  });
  const group = (name: string): Group => ({
    ...{ name, kind: "self", queries: 0, keys: 0, layers: [layer("one"), layer("two")], shown: [1, 2] },
    ...{ firstLayer: 0, headName: null, facts: ["entropy"], units: {}, thumbnails: 0, thumbnail: [1, 1] },
  });
  return { title, view: null, facts: [], coverage: [], check: null, axes: [], groups: names.map(group) };
}

/** A report without a page: heads are decoded when the test says so. */
export class MadeReport extends Report {
  readonly asked: { choice: Choice; done: (decoded: Decoded) => void; failed: (reason: Error) => void }[] = [];

  override decode(choice: Choice): Promise<Decoded> {
    return new Promise((done, failed) => this.asked.push({ choice, done, failed }));
  }

  /** Decodes all that was asked for since the last time, last first. */
  async answer(): Promise<void> {
    for (const { choice, done } of this.asked.splice(0).reverse()) {
      const [queries, keys] = [this.queries(choice).tokens, this.keys(choice).tokens];
      done({ full: weights(queries, keys, 10 * choice.layer + choice.head) });
    }
    await new Promise((done) => setTimeout(done));
  }
}

/** A report of runs of the given words, each number the tokens of a word. */
export function report(sizes: readonly (readonly number[])[], groups = ["self"]): MadeReport {
  const axes = sizes.map((each) => positions(each));
  const runs = axes.map((axis, place) => run(`run ${place}`, axis.tokens, groups));
  return new MadeReport(
    runs,
    axes.map((axis) => [axis]),
  );
}
