/** Names a head by selects: run, group, layer and head, as far as there are several. */

import { layerNumber } from "../content/naming";
import { type Choice, sameHead } from "../content/report";
import type { Store } from "../state/store";
import { Choosing } from "./select";

/** What the selects take. */
interface HeadProps {
  store: Store;
  /** What the names of the selects start with. */
  prefix?: string;
  choice: Choice;
  /** Which groups may be chosen. */
  allows?: (run: number, group: number) => boolean;
  choose: (choice: Choice) => void;
}

/** The selects that name a head. */
export function HeadPicker({ store, prefix = "", choice, allows = () => true, choose }: HeadProps) {
  const { report } = store;
  const { groups } = report.runs[choice.run]!;
  const group = report.group(choice);
  const named = (name: string) => `${prefix}${name}`;
  const offered = groups
    .map(({ name }, value) => ({ value, text: name }))
    .filter(({ value }) => allows(choice.run, value));
  const inLayer = (layer: number) => ({ ...choice, layer, head: 0 });
  return (
    <>
      {report.runs.length > 1 && (
        <Choosing
          id={named("run")}
          label="Run"
          value={choice.run}
          values={report.runs.map(({ title }, value) => ({ value, text: title }))}
          choose={(run) => choose(report.counterpart(choice, Number(run)) ?? report.first(Number(run), 0))}
        />
      )}
      {offered.length > 1 && (
        <Choosing
          id={named("group")}
          label="Show"
          value={choice.group}
          values={offered}
          choose={(group) => choose(report.first(choice.run, Number(group)))}
        />
      )}
      <Choosing
        id={named("layer")}
        label="Layer"
        hint={report.layer(choice).name}
        value={choice.layer}
        values={group.layers.map((_, value) => ({ value, text: String(layerNumber(group, value)) }))}
        choose={(layer) => {
          const same = { ...choice, layer: Number(layer) };
          choose(report.has(same) ? same : inLayer(Number(layer)));
        }}
      />
      <Choosing
        id={named("head")}
        label="head"
        value={choice.head}
        values={report.layer(choice).heads.map(({ kind }, value) => ({
          value,
          text: `${group.headName ?? value} · ${kind}`,
        }))}
        choose={(head) => choose({ ...choice, head: Number(head) })}
      />
    </>
  );
}

/** Shows a head; where it is of the run that stands beside, the two change places. */
export function show(store: Store, choice: Choice): void {
  const [before, other] = [store.choice.peek(), store.other.peek()];
  if (choice.run !== before.run && choice.run === other.run) store.swap();
  if (!sameHead(choice, store.choice.peek())) store.choose(choice);
}
