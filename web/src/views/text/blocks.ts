/** A text in blocks of a few lines, each laid out by itself, so that only those in sight need to stand on the page. */

import { type Positions, type Range, type Unit, visible } from "../../content/positions";
import type { Segment } from "../../content/schema";

/** Neighbouring words that make a paragraph, or a stretch that is no text. */
export interface Block {
  words: Range;
  segment: Segment | null;
  /** How many letters it has, which tells about how high it is. */
  letters: number;
}

const ENOUGH = 40;
const MOST = 80;
const ENDS_A_SENTENCE = /[.!?…。！？؟۔।][\p{Pe}\p{Pf}"'”’]*$/u;

const HAS_LETTERS = /[\p{L}\p{N}]/u;

/** The blocks of a text: they end where a sentence does, if one ends in time. */
export function blocksOf(positions: Positions): Block[] {
  const blocks: Block[] = [];
  const segments = positions.segments.map((segment) => ({
    segment,
    words: positions.unitsOf("words", { from: segment.start, to: segment.stop }),
  }));
  let from = 0;
  const close = (to: number) => {
    if (to > from) blocks.push({ words: { from, to }, segment: null, letters: letters(positions, from, to) });
    from = to;
  };
  for (let word = 0; word < positions.words.length; word++) {
    const here = segments.find(({ words }) => words.from === word && words.to > word);
    if (here) {
      close(word);
      blocks.push({ ...here, letters: 1 });
      from = here.words.to;
      word = from - 1;
    } else if (word + 1 - from >= MOST || (word + 1 - from >= ENOUGH && ends(positions.words, word)))
      close(word + 1);
  }
  close(positions.words.length);
  return blocks;
}

/** Whether a sentence ends with a word, all its marks among it, of which each may be a word of its own. */
function ends(words: readonly string[], word: number): boolean {
  const last = words.slice(Math.max(0, word - 2), word + 1).join("");
  return ENDS_A_SENTENCE.test(last) && HAS_LETTERS.test(words[word + 1] ?? "");
}

function letters(positions: Positions, from: number, to: number): number {
  let sum = 0;
  for (let word = from; word < to; word++) sum += (positions.words[word]?.length ?? 0) + 1;
  return sum;
}

/** The number of the block that a word stands in. */
export function blockAt(blocks: readonly Block[], word: number): number {
  let low = 0;
  let high = blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (blocks[middle]!.words.from <= word) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The units of a block. */
export function unitsOf(block: Block, positions: Positions, unit: Unit): Range {
  const { from, to } = block.words;
  return unit === "words" ? block.words : { from: positions.starts[from]!, to: positions.starts[to]! };
}

/** Whether a unit goes on with the word of the one before it. */
export function goesOn(positions: Positions, unit: Unit, index: number): boolean {
  return unit === "tokens" && index > 0 && positions.wordOf[index] === positions.wordOf[index - 1];
}

/** A unit as it reads in running text: without a tokenizer's marks of where words begin. */
export function read(positions: Positions, unit: Unit, index: number): string {
  const label = positions.label(unit, index);
  if (unit === "words") return visible(label);
  const plain = goesOn(positions, unit, index) ? label.replace(/^##/, "") : label.replace(/^[Ġ▁]+/, "");
  return visible(plain || label);
}

/** What a stretch that is no text is called. */
export function named(segment: Segment): string {
  const count = segment.stop - segment.start;
  if (segment.kind === "image") return `image, ${segment.rows} × ${segment.columns} patches`;
  if (segment.kind === "sound") return `sound, ${count} frames, ${Number(segment.seconds.toFixed(2))} s`;
  const { chain, first } = segment;
  return `${chain ? `chain ${visible(chain)}, ` : ""}residues ${first} to ${first + count - 1}`;
}

/** Whether there is something to read on this side. */
export function hasText(positions: Positions): boolean {
  const isRead = (word: number) => !positions.isSpecial("words", word);
  return blocksOf(positions).some(({ segment, words: { from, to } }) => {
    if (segment) return false;
    for (let word = from; word < to; word++) if (isRead(word)) return true;
    return false;
  });
}

/** How many words stand in a picture at most. */
const MOST_DRAWN = 2000;

/** The blocks around a word that fit into a picture. */
export function around(blocks: readonly Block[], word: number): Block[] {
  let from = blockAt(blocks, word);
  let to = from;
  let free = MOST_DRAWN;
  const fits = (block: Block | undefined) => block !== undefined && block.words.to - block.words.from <= free;
  const take = (block: Block) => {
    free -= block.segment ? 1 : block.words.to - block.words.from;
  };
  for (let grew = true; grew; ) {
    grew = false;
    if (fits(blocks[to])) {
      take(blocks[to++]!);
      grew = true;
    }
    if (fits(blocks[from - 1])) {
      take(blocks[--from]!);
      grew = true;
    }
  }
  return blocks.slice(from, to);
}
