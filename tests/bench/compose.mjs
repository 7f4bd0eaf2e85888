// Composes the schemas of a dump for upstream's gateway: SCHEMAS BASE-URL PATHS OUT
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const { parse } = require("graphql");
const { composeServices } = require("@theguild/federation-composition");

const [schemas, base, paths, out] = process.argv.slice(2);
const urls = JSON.parse(paths);
const texts = Object.entries(JSON.parse(readFileSync(schemas)).described);
const made = composeServices(
  texts.map(([name, text]) => ({ name, typeDefs: parse(text), url: base + urls[name] })),
);
if (made.errors) {
  console.error(made.errors.map((error) => error.message).join("\n"));
  process.exit(1);
}
writeFileSync(out, made.supergraphSdl);
