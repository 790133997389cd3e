/** Puts the built page together: one file, its script packed, a policy that allows nothing else, and whose work it holds. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import type { Plugin } from "vite";

const FILES = [
  "package.json",
  "package-lock.json",
  "vite.config.ts",
  "assembling.ts",
  "unpacking.js",
  "index.html",
];

const CONTENT = "<!--content-->";

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
  [...page.matchAll(new RegExp(`<${element}[^>]*>([\\s\\S]*?)</`, "g"))]
    .map(([, content]) => `'sha256-${sha256(content ?? "", "base64")}'`)
    .join(" ");

/**
 * Packs the script into a third of its size, beside the few lines that unpack it. The policy names the hash of both:
 * a browser runs the unpacked script only if it is, sign for sign, the one that was built.
 */
function packed(page: string): { page: string; script: string } {
  const [element = "", script = ""] = /<script type="module"[^>]*>([\s\S]*?)<\/script>/.exec(page) ?? [];
  const program = deflateSync(script, { level: 9 }).toString("base64");
  const unpacking = readFileSync("unpacking.js", "utf8").replace(/^\/\*[\s\S]*?\*\/\s*/, "");
  const elements = `<script type="application/octet-stream" id="program">${program}</script><script type="module">${unpacking}</script>`;
  // Behind the words of a page that waits: they stand also in a file that ends before its script does.
  return { page: page.replace(element, "").replace(CONTENT, () => `${elements}\n${CONTENT}`), script };
}

/** Makes the one file of the page and the script and style in it, with a policy that allows just these. */
export function assembling(folder: string): Plugin {
  let target = folder;
  return {
    name: "assembling",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        for (const file of Object.values(bundle)) {
          if (file.type !== "asset" || !file.fileName.endsWith(".html")) continue;
          const { page, script } = packed(String(file.source));
          const scripts = `'sha256-${sha256(script, "base64")}' ${within(page, 'script type="module"')}`;
          const rules = `default-src 'none'; script-src ${scripts}; style-src ${within(page, "style")}; img-src data: blob:; base-uri 'none'; form-action 'none'`;
          file.source = page
            .replace("{{policy}}", () => rules)
            .replace("{{sources}}", hashOfSources)
            .replace("{{licences}}", () => escaped(licencesOf(this.getModuleIds())));
        }
      },
    },
    configResolved(config) {
      target = config.build.outDir;
    },
    closeBundle: () => renameSync(join(target, "index.html"), join(target, "page.html")),
  };
}
