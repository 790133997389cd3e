/** How pictures are shown, in both panes alike. */

import { signal } from "@preact/signals";
import type { Look } from "./overlay";

export const look = signal<Look>("colours");
export const smooth = signal(false);
