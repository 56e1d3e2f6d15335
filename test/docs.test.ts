// README's generated tables are current, and so is the table of the published diagrams. `npm run docs` writes them.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ALIASES, createCatalogue, inWireNames } from "../src/catalogue.js";
import { OTHER_VARIABLES, optionRows } from "../src/config.js";
import { CODES } from "../src/core/errors.js";
import { readActions, writeActions } from "../src/iam/policy.js";
import { USES } from "../src/iam/uses.js";
import { domains } from "../tools/index.js";
import { DIAGRAMS, type Diagram, passed, statesOf, transitionsOf } from "./seed5/diagrams.js";
import { STORIES } from "./seed5/stories.js";

const README = join(import.meta.dirname, "..", "README.md");
const catalogue = createCatalogue(domains, { allowWrites: true });

const kindOf = (tool: { kind: string; changesAws?: boolean }): string =>
  tool.kind === "plan" ? "plan" : tool.changesAws ? "**apply**" : "read";

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

const actions = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(" ");

const SECTIONS: Readonly<Record<string, () => string>> = {
  tools: () =>
    [
      "| Tool | Kind | Listed | What it does |",
      "|---|---|---|---|",
      ...catalogue.entries.map(
        ({ wire, tool, listed }) =>
          `| \`${wire}\` | ${kindOf(tool)} | ${listed ? "✔" : ""} | ${cell(inWireNames(tool.description.split(/(?<=\.) /)[0]!, catalogue.entries))} |`,
      ),
    ].join("\n"),
  aliases: () =>
    [
      "| Old name | Means |",
      "|---|---|",
      ...Object.entries(ALIASES).map(([old, name]) => `| \`${old}\` | \`${name.replace(".", "_")}\` |`),
    ].join("\n"),
  errors: () =>
    [
      "| Code | Means | Mended by |",
      "|---|---|---|",
      ...Object.entries(CODES).map(
        ([code, row]) =>
          `| \`${code}\` | ${cell(row.means)} | ${row.fixableBy}${row.retriable ? ", by trying again" : ""} |`,
      ),
    ].join("\n"),
  iam: () =>
    [
      "| Toolset | Reads | Changes, besides |",
      "|---|---|---|",
      `| any | ${actions(readActions([]))} | |`,
      ...Object.entries(USES)
        .filter(([, { reads, writes }]) => reads.length + writes.length > 0)
        .map(([name]) => {
          const reads = readActions([name]).filter((action) => !readActions([]).includes(action));
          return `| ${name} | ${actions(reads)} | ${actions(writeActions([name]))} |`;
        }),
    ].join("\n"),
  coverage: () => /^Of \d+ tools.*$/m.exec(readFileSync(join(import.meta.dirname, "..", "COVERAGE.md"), "utf8"))![0],
  flags: () =>
    [
      "| Flag | Variable | Variables of earlier servers | Default | What it says |",
      "|---|---|---|---|---|",
      ...optionRows().map(({ flag, takes, variable, theirs, fallback, text }) => {
        const shown = fallback === undefined ? "" : `\`${cell(fallback)}\``;
        return `| \`${takes ? `${flag} ${takes}` : flag}\` | \`${variable}\` | ${actions(theirs)} | ${shown} | ${cell(text)} |`;
      }),
      ...Object.entries(OTHER_VARIABLES)
        .filter(([name]) => !optionRows().some(({ variable }) => variable === name))
        .map(([name, text]) => `| | \`${name}\` | | | ${cell(text)} |`),
    ].join("\n"),
};

it("README's generated tables are current", () => {
  const now = readFileSync(README, "utf8");
  const fresh = Object.entries(SECTIONS).reduce((text, [name, make]) => {
    const [open, close] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const from = text.indexOf(open);
    const to = text.indexOf(close);
    expect(from >= 0 && to > from, `README has the marks of ${name}`).toBe(true);
    return `${text.slice(0, from + open.length)}\n${make()}\n${text.slice(to)}`;
  }, now);
  if (process.env.UPDATE_DOCS === "1") writeFileSync(README, fresh);
  else expect(fresh, "run npm run docs").toBe(now);
});

/** Which story passes a state or a transition. That each story is told is for the diagrams' own tests. */
function tableOf(diagram: Diagram): string {
  const stories = Object.entries(STORIES[diagram]).map(([title, paths]) => ({ title, way: passed(diagram, paths) }));
  const told = (passes: (way: ReturnType<typeof passed>) => boolean): string =>
    stories
      .filter(({ way }) => passes(way))
      .map(({ title }) => title)
      .join(" · ");
  return [
    `## ${diagram} (\`${diagram}.test.ts\`)`,
    "",
    "| State | Told by |",
    "|---|---|",
    ...statesOf(diagram).map(
      (state) => `| ${state} | ${told((way) => way.some(({ from, to }) => from === state || to === state))} |`,
    ),
    "",
    "| Transition | On | Told by |",
    "|---|---|---|",
    ...transitionsOf(diagram).map(
      (step) =>
        `| ${step.from} → ${step.to} | ${cell(step.on)} | ${told((way) =>
          way.some(({ from, to, on }) => from === step.from && to === step.to && on === step.on),
        )} |`,
    ),
  ].join("\n");
}

it("the table of the published diagrams is current", () => {
  const path = join(import.meta.dirname, "seed5", "README.md");
  const fresh = `# The published state diagrams, and the tests that walk them

\`npm run docs\` writes this file from \`diagrams.ts\` (the diagrams as published) and \`stories.ts\` (what the tests tell). \`diagrams.test.ts\` fails
where a transition is on no story's way, each diagram's own test where a story is untold. \`[*]\` is where a diagram begins and ends.

${DIAGRAMS.map(tableOf).join("\n\n")}
`;
  if (process.env.UPDATE_DOCS === "1") writeFileSync(path, fresh);
  else expect(fresh, "run npm run docs").toBe(existsSync(path) ? readFileSync(path, "utf8") : "");
});
