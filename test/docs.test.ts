// README's generated tables are current. `npm run docs` writes them.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ALIASES, createCatalogue, inWireNames } from "../src/catalogue.js";
import { flagHelp } from "../src/config.js";
import { CODES } from "../src/core/errors.js";
import { readActions, writeActions } from "../src/iam/policy.js";
import { USES } from "../src/iam/uses.js";
import { domains } from "../tools/index.js";

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
  flags: () => `\`\`\`\n${flagHelp()}\n\`\`\``,
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
