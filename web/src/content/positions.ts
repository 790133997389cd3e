/** The positions along one side of a map, and how words, tokens and segments divide them. */

import { integers, strings } from "./arrays";
import type { Axis, Segment } from "./schema";

/** What a reader points at: whole words, or the tokens that the model read. */
export type Unit = "words" | "tokens";

/** Positions from `from` up to `to`, `to` not among them. */
export interface Range {
  from: number;
  to: number;
}

/** Whether two ranges are the same. */
export const same = (a: Range | null, b: Range | null) => a?.from === b?.from && a?.to === b?.to;

/** The positions along one side of a map. */
export class Positions {
  /** The first token of each word, and after the last one how many tokens there are. */
  readonly starts: Uint32Array;
  readonly separators: ReadonlySet<number>;
  private readonly drawing = new Map<Unit, Uint8Array>();

  constructor(
    readonly words: readonly string[],
    readonly pieces: readonly string[],
    readonly wordOf: Uint32Array,
    private readonly specialWords: ReadonlySet<number>,
    separators: readonly number[],
    readonly segments: readonly Segment[],
  ) {
    this.separators = new Set(separators);
    this.starts = new Uint32Array(words.length + 1).fill(wordOf.length);
    for (let token = wordOf.length - 1; token >= 0; token--) this.starts[wordOf[token]!] = token;
    // A word that a tokenizer dropped has no tokens: it ends where it starts.
    for (let word = words.length - 1; word >= 0; word--)
      this.starts[word] = Math.min(this.starts[word]!, this.starts[word + 1]!);
  }

  /** How many tokens there are. */
  get tokens(): number {
    return this.wordOf.length;
  }

  /** How many units there are. */
  count(unit: Unit): number {
    return unit === "words" ? this.words.length : this.tokens;
  }

  /** Whether words and tokens are not the same. */
  get hasPieces(): boolean {
    return this.words.length !== this.tokens;
  }

  /** What stands at a unit. */
  label(unit: Unit, index: number): string {
    return (unit === "words" ? this.words[index] : this.pieces[index]) ?? "";
  }

  /** The unit that a token belongs to. */
  unitOf(unit: Unit, token: number): number {
    return unit === "words" ? (this.wordOf[token] ?? 0) : token;
  }

  /** The tokens of a unit. */
  tokensOf(unit: Unit, index: number): Range {
    return unit === "words"
      ? { from: this.starts[index]!, to: this.starts[index + 1]! }
      : { from: index, to: index + 1 };
  }

  /** The tokens of a range of units. */
  tokensIn(unit: Unit, { from, to }: Range): Range {
    if (to <= from) return { from: 0, to: 0 };
    return { from: this.tokensOf(unit, from).from, to: this.tokensOf(unit, to - 1).to };
  }

  /** The units that a range of tokens touches. */
  unitsOf(unit: Unit, tokens: Range): Range {
    if (tokens.to <= tokens.from) return { from: 0, to: 0 };
    return { from: this.unitOf(unit, tokens.from), to: this.unitOf(unit, tokens.to - 1) + 1 };
  }

  /** Whether a unit draws attention for what it is, not for what it says: the first, added by the tokenizer, or a separator. */
  isSink(unit: Unit, index: number): boolean {
    return this.sinks(unit)[index] === 1;
  }

  /** For each unit, 1 where it is a sink. */
  sinks(unit: Unit): Uint8Array {
    const found =
      this.drawing.get(unit) ??
      Uint8Array.from({ length: this.count(unit) }, (_, index) => {
        if (this.isSpecial(unit, index) || (index === 0 && this.segments.length === 0)) return 1;
        const { from, to } = this.tokensOf(unit, index);
        for (let token = from; token < to; token++) if (this.separators.has(token)) return 1;
        return 0;
      });
    this.drawing.set(unit, found);
    return found;
  }

  /** Whether a tokenizer added this word. */
  isSpecial(unit: Unit, index: number): boolean {
    return this.specialWords.has(unit === "words" ? index : (this.wordOf[index] ?? -1));
  }

  /** The segments of one kind. */
  segmentsOf<K extends Segment["kind"]>(kind: K): Extract<Segment, { kind: K }>[] {
    return this.segments.filter((segment): segment is Extract<Segment, { kind: K }> => segment.kind === kind);
  }

  /** The segment that a token lies in. */
  segmentAt(token: number): Segment | undefined {
    return this.segments.find(({ start, stop }) => start <= token && token < stop);
  }

  /** A range of tokens in words. */
  name(unit: Unit, tokens: Range): string {
    const { from, to } = this.unitsOf(unit, tokens);
    const labels: string[] = [];
    for (let index = from; index < Math.min(to, from + 6); index++) labels.push(brief(this.label(unit, index)));
    return labels.join(" ") + (to > from + 6 ? " …" : "");
  }
}

const SHOWS = /[^\p{C}\p{Z}\p{M}\u115F\u1160\u3164\uFFA0]/u;

/** A label that can be seen: one without any visible sign is told by its code points. */
export function visible(label: string): string {
  if (SHOWS.test(label)) return label;
  if (label === " ") return "␣";
  return (
    [...label].map((sign) => `U+${sign.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`).join(" ") ||
    "∅"
  );
}

/** How many letters of a word stand in a sentence. */
const LONGEST = 60;

/** A label as it stands in a sentence, which a very long one would bury. */
export function brief(label: string): string {
  const shown = visible(label);
  return shown.length <= LONGEST ? shown : `${[...shown].slice(0, LONGEST).join("")}…`;
}

/** The positions of an axis of the index. */
export async function readPositions(axis: Axis): Promise<Positions> {
  const [words, pieces, wordOf] = await Promise.all([
    strings(axis.words, axis.count),
    axis.pieces === null ? null : strings(axis.pieces, axis.tokens),
    axis.wordOf === null ? Uint32Array.from({ length: axis.tokens }, (_, token) => token) : integers(axis.wordOf),
  ]);
  const labels = pieces ?? Array.from(wordOf, (word) => words[word] ?? "");
  return new Positions(words, labels, wordOf, new Set(axis.special), axis.separators, axis.segments);
}
