/** How the units of a text stand on the page: in blocks, as elements with ids. */

import type { Positions, Range, Unit } from "../../content/positions";
import { type Block, blockAt, blocksOf, unitsOf } from "./blocks";
import { unitsOfWord } from "./paint";

/** A text in units. */
export class Standing {
  readonly blocks: readonly Block[];
  readonly count: number;

  /** @param name what the ids of its words begin with. */
  constructor(
    readonly positions: Positions,
    readonly unit: Unit,
    readonly name: string,
  ) {
    this.blocks = blocksOf(positions);
    this.count = positions.count(unit);
  }

  /** The number of the block in which a token stands. */
  blockOf(token: number): number {
    return blockAt(this.blocks, this.positions.wordOf[token] ?? 0);
  }

  /** The units of the element in which a token stands: a word's, or those of a whole stretch that is no text. */
  unitsAt(token: number): Range {
    const segment = this.blocks[this.blockOf(token)]?.segment;
    if (segment) return this.positions.unitsOf(this.unit, { from: segment.start, to: segment.stop });
    const from = this.positions.unitOf(this.unit, token);
    return { from, to: from + 1 };
  }

  /** The id of the element in which a token stands. */
  id(token: number): string {
    return `${this.name}-${this.unitsAt(token).from}`;
  }

  /** The element in which a token stands, if it is on the page. */
  element(token: number): HTMLElement | null {
    return document.getElementById(this.id(token));
  }

  /** The tokens of an element. */
  tokensIn(word: HTMLElement): Range {
    return this.positions.tokensIn(this.unit, unitsOfWord(word));
  }

  /** How far into the text a place within a block lies, from 0 to 1. */
  share(block: number, within: number): number {
    const { from, to } = unitsOf(this.blocks[block]!, this.positions, this.unit);
    return (from + Math.min(1, Math.max(0, within)) * (to - from)) / Math.max(1, this.count);
  }

  /** The token that lies so far into the text. */
  tokenAt(share: number): number {
    const unit = Math.min(this.count - 1, Math.floor(share * this.count));
    return this.positions.tokensOf(this.unit, unit).from;
  }
}
