/** The controls above the map of residues. */

import { Switch } from "../parts/controls";
import { correction, pairsAResidue, type Scene } from "./scene";

/** A row of controls. */
export function Controls({ scene }: { scene: Scene | null }) {
  return (
    <div class="controls">
      <label>
        Strongest pairs{" "}
        <input
          type="range"
          data-control="pairs"
          min="0.1"
          max="2"
          step="0.05"
          value={pairsAResidue.value}
          onInput={(event) => {
            pairsAResidue.value = Number(event.currentTarget.value);
          }}
        />{" "}
        <output>{scene?.pairs.length ?? ""}</output>
      </label>
      {scene?.exact && !scene.signed && (
        <Switch data-control="correction" label="average product correction" of={correction} />
      )}
    </div>
  );
}
