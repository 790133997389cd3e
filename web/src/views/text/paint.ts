/** Shades and frames the words that stand on the page, without laying them out again. */

import { percent } from "../../content/numbers";
import type { Range } from "../../content/positions";
import { type Shade, together } from "./shade";

/** What is framed on a side, in units. */
export interface Marks {
  chosen: Range | null;
  met: Range | null;
  found: Range | null;
}

/** Shades the words within a sheet; null: they are those that are chosen from, not those that are shaded. */
export function paint(sheet: HTMLElement, shade: Shade | null, marks: Marks): void {
  sheet.classList.toggle("shaded", shade !== null);
  sheet.style.background = shade?.shades.css(0) ?? "";
  sheet.style.color = shade?.shades.ink(0) ?? "";
  sheet.style.setProperty("--ink", shade?.shades.ink(0) ?? "var(--text)");
  for (const word of sheet.querySelectorAll<HTMLElement>("[data-unit]")) {
    const units = unitsOfWord(word);
    const weight = shade ? together(shade, units) : 0;
    word.style.background = shade && weight !== 0 ? shade.shades.css(weight) : "";
    word.style.color = shade && weight !== 0 ? shade.shades.ink(weight) : "";
    const mark = markOf(units, marks);
    if (word.dataset.mark !== mark) word.dataset.mark = mark;
    if (mark === "chosen") word.ariaSelected = "true";
    else if (word.ariaSelected !== "false") word.ariaSelected = "false";
    if (word.dataset.to) word.dataset.weight = shade ? percent(weight, shade.shades.signed) : "";
  }
}

/** The units of a word on the page. */
export function unitsOfWord(word: HTMLElement): Range {
  const from = Number(word.dataset.unit);
  return { from, to: Number(word.dataset.to ?? from + 1) };
}

function markOf(units: Range, { chosen, met, found }: Marks): string {
  const touches = (range: Range | null) => range !== null && units.from < range.to && range.from < units.to;
  return touches(chosen) ? "chosen" : touches(met) ? "met" : touches(found) ? "found" : "";
}
