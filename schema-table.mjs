// The compact schema table: AWS's published resource specification (@aws-cdk/aws-service-spec, Apache-2.0), one row a type.
// A module that exists only where it is asked for: the build and vitest serve it as src/aws/schema-data.js.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { loadAwsServiceSpecSync } from "@aws-cdk/aws-service-spec";

const require = createRequire(import.meta.url);
const PACKAGE = "@aws-cdk/aws-service-spec";
const { version } = require(`${PACKAGE}/package.json`);

/** Nested definitions are followed so far; some refer to themselves. */
const DEEPEST = 7;
const SHAPES = { standard: "list", map: "map", asg: "asg" };
const pointer = (names) => names.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** A type in one word, as a registry document would say it. */
const word = (type) =>
  ({ ref: "object", map: "object", tag: "object", json: "object", "date-time": "string", union: "any" })[type.type] ??
  type.type;

/** The definition whose properties lie below a property, and the pointer steps down to it. */
function below(db, type, steps = []) {
  if (type.type === "array" || type.type === "map") return below(db, type.element, [...steps, "*"]);
  if (type.type !== "ref") return null;
  return { steps, definition: db.get("typeDefinition", type.reference) };
}

/** Every property to a depth, with its path; a definition inside itself is not entered again. */
function* everyProperty(db, properties, path = [], seen = []) {
  for (const [name, property] of Object.entries(properties)) {
    const here = [...path, name];
    yield [here, property];
    const inner = here.length < DEEPEST ? below(db, property.type) : null;
    if (!inner || seen.includes(inner.definition.$id)) continue;
    yield* everyProperty(db, inner.definition.properties, [...here, ...inner.steps], [...seen, inner.definition.$id]);
  }
}

const sorted = (items) => [...new Set(items)].sort();
const some = (key, value) => (Object.keys(value).length > 0 ? { [key]: value } : {});

/** One type. Names are short because there are 1,800 rows; `Row` in src/aws/schema-table.ts says what they mean. */
function row(db, resource) {
  const { properties, attributes, tagInformation: tags, scrutinizable } = resource;
  const all = [...everyProperty(db, properties)];
  const settable = new Set(all.map(([path]) => pointer(path)));
  const identifier = (resource.primaryIdentifier ?? []).map((name) => pointer(name.split(".")));
  const readOnly = Object.keys(attributes)
    .map((name) => pointer(name.split(".")))
    .filter((path) => !settable.has(path));
  const replaces = (how) => all.filter(([, { causesReplacement }]) => causesReplacement === how);
  const createOnly = sorted([
    ...replaces("yes").map(([path]) => pointer(path)),
    ...(resource.additionalReplacementProperties ?? []).map(pointer),
  ]);
  const defaults = all.filter(([, { defaultValue }]) => defaultValue !== undefined && defaultValue !== "");
  const refs = all.filter(([, { relationshipRefs }]) => relationshipRefs?.length > 0);
  const scrutinised = all.filter(([, one]) => one.scrutinizable && one.scrutinizable !== "None");
  return {
    ...some("i", identifier),
    ...some("p", Object.fromEntries(Object.entries(properties).map(([name, { type }]) => [name, word(type)]))),
    ...some("q", sorted(Object.keys(properties).filter((name) => properties[name].required))),
    ...some("r", sorted(readOnly)),
    ...some("c", createOnly),
    ...some("m", sorted(replaces("maybe").map(([path]) => pointer(path)))),
    ...(tags ? { t: [tags.tagPropertyName, SHAPES[tags.variant]] } : {}),
    ...some("d", Object.fromEntries(defaults.map(([path, one]) => [pointer(path), one.defaultValue]))),
    ...some(
      "f",
      Object.fromEntries(
        refs.map(([path, one]) => [
          pointer(path),
          one.relationshipRefs.map(({ cloudFormationType, propertyName }) => [
            cloudFormationType,
            pointer(propertyName.split("/")),
          ]),
        ]),
      ),
    ),
    ...(resource.isStateful ? { s: true } : {}),
    ...(resource.arnTemplate ? { a: resource.arnTemplate } : {}),
    ...(scrutinizable && scrutinizable !== "None" ? { z: scrutinizable } : {}),
    ...some("y", Object.fromEntries(scrutinised.map(([path, one]) => [pointer(path), one.scrutinizable]))),
  };
}

/** The whole table: what it was made from, and the rows by type. */
export function schemaTable() {
  const db = loadAwsServiceSpecSync();
  const resources = [...db.all("resource")].filter(({ cloudFormationTransform }) => !cloudFormationTransform);
  const byName = resources.map((resource) => [resource.cloudFormationType, row(db, resource)]);
  return { source: `${PACKAGE} ${version}`, types: Object.fromEntries(byName.sort(([a], [b]) => (a < b ? -1 : 1))) };
}

export const NOTICE = `The schema table in this package (chunks/schema-data-*.js, gzip in base64) is derived from
${PACKAGE} ${version} (https://github.com/cdklabs/awscdk-service-spec), Copyright Amazon.com, Inc. or its
affiliates. It was reduced to identifiers, tag properties, replacement rules, references and the like; prose was left out.
It is used under the Apache License, Version 2.0:

${readFileSync(require.resolve(`${PACKAGE}/LICENSE`), "utf8").trim()}
`;

function moduleText() {
  const table = gzipSync(JSON.stringify(schemaTable()), { level: 9 }).toString("base64");
  const notice = `Derived from ${PACKAGE} ${version}, Apache-2.0; see schema-table.NOTICE.`;
  return `/*! ${notice} */\nexport const TABLE = ${JSON.stringify(table)};\n`;
}

const SPECIFIER = /\/schema-data\.js$/;

/** For esbuild: the module as a chunk of its own. */
export const schemaData = {
  name: "schema-data",
  setup(build) {
    build.onResolve({ filter: SPECIFIER }, () => ({ path: "schema-data.js", namespace: "schema-data" }));
    build.onLoad({ filter: /.*/, namespace: "schema-data" }, () => ({ contents: moduleText(), loader: "js" }));
  },
};

/** For vitest: the same module, so that no test needs a build. */
export const schemaDataForTests = {
  name: "schema-data",
  enforce: "pre",
  resolveId: (id) => (SPECIFIER.test(id) ? "\0schema-data.js" : null),
  load: (id) => (id === "\0schema-data.js" ? moduleText() : null),
};
