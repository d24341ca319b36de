// Writes session.js, which the gateway serves, from the same source as the package.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const { license } = JSON.parse(readFileSync(`${here}package.json`, "utf8"));
const target = process.argv[2] ?? `${here}../../gateway/server/endpoints/session.js`;

const { outputFiles } = await build({
  entryPoints: [`${here}src/script.ts`],
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: "es2021",
  charset: "ascii",
  legalComments: "none",
  banner: { js: `/* Built from clients/js; ${license} */` },
});
writeFileSync(target, outputFiles[0].contents);
