/** Builds the sources into the one file that the Python package carries: no request, a policy that allows just its own script. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";
import { viteSingleFile } from "vite-plugin-singlefile";

const PACKAGE = join(import.meta.dirname, "../src/regard/reports/page");
const FILES = ["package.json", "package-lock.json", "vite.config.ts", "index.html"];

const sha256 = (content: string, form: "hex" | "base64") => createHash("sha256").update(content).digest(form);

/** A hash over all that the page is built of, so that a page of older sources is noticed without building. */
function hashOfSources(): string {
  const within = readdirSync("src", { recursive: true }).map((name) => `src/${name}`);
  const names = [...FILES, ...within.filter((name) => statSync(name).isFile())].sort();
  return sha256(names.map((name) => `${name}\0${readFileSync(name, "utf8")}\0`).join(""), "hex");
}

/** Name, version and licence of each package in the page; licences that differ only in whose they are stand there once. */
function licencesOf(modules: Iterable<string>): string {
  const folders = new Set([...modules].map((id) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? ""));
  const texts = new Map<string, string[]>();
  for (const folder of [...folders].filter(Boolean).sort()) {
    const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    if (!file) throw new Error(`expected a licence in ${name}; got none`);
    const lines = readFileSync(join(folder, file), "utf8").trim().split(/\r?\n/);
    const isOwn = (line: string) => /^(Copyright|(The )?MIT License|ISC License)/i.test(line);
    const text = lines
      .filter((line) => !isOwn(line))
      .join(" ")
      .replace(/\s+/g, " ")
      .trim();
    const whose = lines.filter((line) => /^Copyright/i.test(line)).join("; ");
    texts.set(text, [...(texts.get(text) ?? []), `${name} ${version}: ${whose}`]);
  }
  return [...texts].map(([text, packages]) => `${packages.join("\n")}\n\n${text}`).join("\n\n\n");
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const within = (page: string, element: string) =>
  [...page.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</${element}>`, "g"))]
    .map(([, content]) => `'sha256-${sha256(content ?? "", "base64")}'`)
    .join(" ");

/** Names the hashes of script and style in the page's content policy, once they stand in it. */
function policy(): Plugin {
  let folder = PACKAGE;
  return {
    name: "policy",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type !== "asset" || !file.fileName.endsWith(".html")) continue;
          const page = String(file.source);
          const rules = `default-src 'none'; script-src ${within(page, "script")}; style-src ${within(page, "style")}; img-src data: blob:; base-uri 'none'; form-action 'none'`;
          file.source = page
            .replace("{{policy}}", () => rules)
            .replace("{{sources}}", hashOfSources)
            .replace("{{licences}}", () => escaped(licencesOf(this.getModuleIds())));
        }
      },
    },
    configResolved(config) {
      folder = config.build.outDir;
    },
    closeBundle: () => renameSync(join(folder, "index.html"), join(folder, "page.html")),
  };
}

export default defineConfig({
  plugins: [viteSingleFile(), policy()],
  build: {
    outDir: PACKAGE,
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    reportCompressedSize: false,
  },
  test: { environment: "node", include: ["test/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
