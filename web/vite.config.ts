/** Builds the sources into the one file that the Python package carries. */

import { join } from "node:path";
import { defineConfig } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";
import { assembling } from "./assembling";

const PACKAGE = join(import.meta.dirname, "../src/regard/reports/page");

export default defineConfig({
  plugins: [viteSingleFile(), assembling(PACKAGE)],
  build: {
    outDir: PACKAGE,
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    reportCompressedSize: false,
  },
  test: { environment: "node", include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
