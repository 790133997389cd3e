/** The colours of the page itself, for what is drawn and not laid out by the browser. */

import { luminance, parsed } from "./colors";

/** Colours of the theme that is on. */
export interface Inks {
  back: string;
  text: string;
  soft: string;
  line: string;
  mark: string;
}

/** The colours of the theme that is on now. */
export function inks(): Inks {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return { back: of("back"), text: of("text"), soft: of("soft"), line: of("line"), mark: of("mark") };
}

/** Whether the page is dark now. */
export const isDark = () => luminance(parsed(inks().back)) < 0.18;
