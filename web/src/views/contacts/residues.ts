/** The residues of one or several chains, one after another, and which of them are known to touch. */

import { bytes } from "../../content/arrays";
import { arriving } from "../../content/arriving";
import { type Positions, type Range, type Unit, visible } from "../../content/positions";
import type { ResidueSegment } from "../../content/schema";

/** All residues of an axis, numbered from 0 over all chains. */
export class Residues {
  readonly count: number;
  /** The first residue of each chain, and after the last one how many there are. */
  readonly starts: readonly number[];
  private readonly contacts: readonly (Uint8Array | null)[];

  constructor(
    private readonly positions: Positions,
    readonly chains: readonly ResidueSegment[],
  ) {
    const starts = [0];
    for (const { start, stop } of chains) starts.push(starts.at(-1)! + stop - start);
    this.starts = starts;
    this.count = starts.at(-1)!;
    this.contacts = chains.map(contactsOf);
  }

  /** Whether anything is known of which residues touch. */
  get isKnown(): boolean {
    return this.contacts.some((known) => known !== null);
  }

  /** How many residues stand in chains whose contacts are known. */
  get known(): number {
    return this.chains.reduce((sum, { start, stop }, place) => sum + (this.contacts[place] ? stop - start : 0), 0);
  }

  /** The chain of a residue. */
  chainOf(residue: number): number {
    return this.starts.findLastIndex((start) => start <= residue);
  }

  /** The token of a residue. */
  token(residue: number): number {
    const chain = this.chainOf(residue);
    return this.chains[chain]!.start + residue - this.starts[chain]!;
  }

  /** The residue of a range of tokens; null where it begins at none. */
  at(tokens: Range | null | undefined): number | null {
    if (!tokens) return null;
    const chain = this.chains.findIndex(({ start, stop }) => start <= tokens.from && tokens.from < stop);
    return chain < 0 ? null : this.starts[chain]! + tokens.from - this.chains[chain]!.start;
  }

  /** The unit of each residue. */
  units(unit: Unit): Uint32Array {
    return Uint32Array.from({ length: this.count }, (_, residue) =>
      this.positions.unitOf(unit, this.token(residue)),
    );
  }

  /** The number of a residue within its chain. */
  number(residue: number): number {
    const chain = this.chainOf(residue);
    return this.chains[chain]!.first + residue - this.starts[chain]!;
  }

  /** What a residue is called. */
  name(residue: number): string {
    const { chain } = this.chains[this.chainOf(residue)]!;
    const label = visible(this.positions.label("tokens", this.token(residue)));
    return this.chains.length > 1 && chain ? `${label} of ${visible(chain)}` : label;
  }

  /** Whether two residues touch; null where it is not known, as between chains. */
  touch(a: number, b: number): boolean | null {
    const chain = this.chainOf(a);
    const [start, stop] = [this.starts[chain]!, this.starts[chain + 1]!];
    const known = this.contacts[chain];
    if (!known || b < start || b >= stop) return null;
    return known[(a - start) * (stop - start) + b - start] === 1;
  }
}

const read = arriving(bytes);

/** The contacts of a chain; null until they are read, and where none are known. */
const contactsOf = ({ contacts }: ResidueSegment): Uint8Array | null =>
  contacts === null ? null : read(contacts).value;
