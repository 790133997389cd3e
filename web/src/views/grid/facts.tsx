/** All that is told of one head: the one that is pointed at, else the chosen one. */

import { plain } from "../../content/numbers";
import type { Group } from "../../content/schema";
import type { Store } from "../../state/store";
import { looked } from "./state";
import type { Place } from "./statistics";

/** What was measured of a head, by name. */
export function factsOf(group: Group, { layer, head }: Place): { name: string; told: string }[] {
  const numbers = group.layers[layer]!.heads[head]!.facts;
  return group.facts.map((name, place) => {
    const value = numbers[place] ?? null;
    return {
      name,
      told:
        value === null || !Number.isFinite(value)
          ? plain(null)
          : `${value.toFixed(3)} ${group.units[name] ?? ""}`.trim(),
    };
  });
}

/** The numbers of a head, below the grid. */
export function Facts({ store }: { store: Store }) {
  const head = looked.value ?? store.choice.value;
  const { name } = store.report.layer(head);
  return (
    <div id="head-facts" data-of={`${head.layer},${head.head}`}>
      <p class="head-name">
        <strong>{store.title(head)}</strong>
        <span class="soft">{name}</span>
      </p>
      <dl>
        {factsOf(store.report.group(head), head).map(({ name, told }) => (
          <div key={name} data-fact={name}>
            <dt>{name}</dt>
            <dd>{told}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
