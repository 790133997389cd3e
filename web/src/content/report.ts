/** The report as the page reads it: runs with their positions, and the heads, decoded when they are asked for. */

import { readIndex } from "./arrays";
import { CellsReading, type KnownCells } from "./cells_reading";
import { readCells, readFull, readLinks } from "./codes";
import { FullReading } from "./full_reading";
import { type Positions, readPositions, type Unit } from "./positions";
import type { Reading } from "./reading";
import type { Group, Head, Layer, Run } from "./schema";

/** Names a head. */
export interface Choice {
  run: number;
  group: number;
  layer: number;
  head: number;
}

/** Whether two choices name the same head. */
export const sameHead = (a: Choice | null, b: Choice | null) =>
  a?.run === b?.run && a?.group === b?.group && a?.layer === b?.layer && a?.head === b?.head;

/** What a head's bytes hold. */
export type Decoded = { full: Float32Array } | { cells: KnownCells };

/** How many bytes of decoded heads are kept at hand beside the last one. */
const AT_HAND = 256 << 20;

/** Everything that the page shows. */
export class Report {
  private readonly decoded = new Map<string, { head: Promise<Decoded>; size: number }>();

  constructor(
    readonly runs: readonly Run[],
    private readonly positions: readonly (readonly Positions[])[],
  ) {}

  /** Reads the report out of the page. */
  static async read(): Promise<Report> {
    const { runs } = readIndex();
    const positions = await Promise.all(runs.map((run) => Promise.all(run.axes.map(readPositions))));
    return new Report(runs, positions);
  }

  group({ run, group }: Pick<Choice, "run" | "group">): Group {
    return this.runs[run]!.groups[group]!;
  }

  layer(choice: Choice): Layer {
    return this.group(choice).layers[choice.layer]!;
  }

  head(choice: Choice): Head {
    return this.layer(choice).heads[choice.head]!;
  }

  queries(choice: Pick<Choice, "run" | "group">): Positions {
    return this.positions[choice.run]![this.group(choice).queries]!;
  }

  keys(choice: Pick<Choice, "run" | "group">): Positions {
    return this.positions[choice.run]![this.group(choice).keys]!;
  }

  /** The head that a group shows first. */
  first(run: number, group: number): Choice {
    const [layer, head] = this.group({ run, group }).shown;
    return { run, group, layer, head };
  }

  /** The head that the page opens on: one that joins two texts where there is one, since that is what is looked for. */
  opening(): Choice {
    const cross = this.runs[0]!.groups.findIndex(({ kind }) => kind === "cross");
    return this.first(0, Math.max(0, cross));
  }

  /** Whether a head of this name is in the report. */
  has({ run, group, layer, head }: Choice): boolean {
    return this.runs[run]?.groups[group]?.layers[layer]?.heads[head] !== undefined;
  }

  /** The same head of another run, where it has one. */
  counterpart(choice: Choice, run: number): Choice | null {
    const { name, kind } = this.group(choice);
    const groups = this.runs[run]?.groups ?? [];
    const group = groups.findIndex((other) => other.kind === kind && other.name === name);
    const other = { ...choice, run, group: group < 0 ? choice.group : group };
    return this.has(other) ? other : null;
  }

  /** A decoded head in units. */
  reading(choice: Choice, decoded: Decoded, unit: Unit): Reading {
    const sides = { queries: this.queries(choice), keys: this.keys(choice), unit };
    return "full" in decoded ? new FullReading(sides, decoded.full) : new CellsReading(sides, decoded.cells);
  }

  /** Decodes a head, or finds it among those of late. */
  decode(choice: Choice): Promise<Decoded> {
    const name = [choice.run, choice.group, choice.layer, choice.head].join();
    const kept = this.decoded.get(name) ?? { head: decodeHead(this.head(choice)), size: sizeOf(this.head(choice)) };
    this.decoded.delete(name);
    this.decoded.set(name, kept);
    let size = 0;
    for (const [other, { size: more }] of [...this.decoded].reverse()) {
      size += more;
      if (size > AT_HAND && other !== name) this.decoded.delete(other);
    }
    return kept.head;
  }
}

/** About how many bytes a decoded head takes. */
function sizeOf({ map, rows }: Head): number {
  const planes = map.form === "full" ? 1 : 2;
  return 4 * (planes * map.rows * map.columns + (rows ? rows.weights.rows * rows.weights.columns : 0));
}

async function decodeHead(head: Head): Promise<Decoded> {
  if (head.map.form === "full") return { full: await readFull(head.map) };
  const [cells, links, rows] = await Promise.all([
    readCells(head.map),
    head.links && readLinks(head.links),
    head.rows && readFull(head.rows.weights),
  ]);
  const { rows: count, columns, queriesACell, keysACell } = head.map;
  const width = head.rows?.weights.columns ?? 0;
  return {
    cells: {
      ...{ rows: count, columns, queriesACell, keysACell, ...cells },
      links: Array.from(links?.weights ?? [], (weight, place) => ({
        query: links!.queries[place]!,
        key: links!.keys[place]!,
        weight,
      })),
      exactRows: new Map(
        (head.rows?.queries ?? []).map((query, place) => [
          query,
          rows!.subarray(place * width, (place + 1) * width),
        ]),
      ),
    },
  };
}
