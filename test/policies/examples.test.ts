// Every value this module exports carries one `@example`, and every example is true.
import { readdirSync, readFileSync } from "node:fs";
import { expect, it, test } from "vitest";
import * as stateSync from "../../policies/state-sync/index.js";
import * as table from "../../policies/table.js";

const POLICIES = new URL("../../policies/", import.meta.url);
const files = [
  "glob.ts",
  "table.ts",
  ...readdirSync(new URL("state-sync/", POLICIES)).map((name) => `state-sync/${name}`),
];
const sources = files.map((name) => readFileSync(new URL(name, POLICIES), "utf8"));
const exported: Record<string, unknown> = { ...stateSync, ...table };

// A doc comment with an example, and the name it stands above.
const EXAMPLE = /@example\n((?: \*.*\n)+?) \*\/\nexport (?:async )?(?:function|class|const) (\w+)/g;
const examples = sources.flatMap((source) =>
  [...source.matchAll(EXAMPLE)].map(([, body = "", name = ""]) => ({
    name,
    lines: body.split("\n").map((line) => line.replace(/^ \* ?/, "")),
  })),
);

test.each(examples)("$name", ({ lines }) => {
  expect.hasAssertions();
  new Function("expect", ...Object.keys(exported), asserted(lines))(expect, ...Object.values(exported));
});

it("leaves out no exported function or class", () => {
  const documented = new Set(examples.map(({ name }) => name));
  const data = ["seedRows", "ourRows"];
  expect(Object.keys(exported).filter((name) => !documented.has(name) && !data.includes(name))).toEqual([]);
});

// `expression; // => value`, or the value on a line of its own below, becomes an expectation. Statements run as they are.
function asserted(lines: readonly string[]): string {
  const parts = lines
    .join("\n")
    .replace(/;\n\/\/ => /g, "; // => ")
    .split(/;(?=\n|$| \/\/ =>)/);
  const code: string[] = [];
  for (const part of parts) {
    const [, value, rest = ""] = /^ \/\/ => ([^\n]*)([\s\S]*)$/.exec(part) ?? [];
    if (value === undefined) code.push(part);
    else code.push(`\nexpect(${code.pop()?.trim()}).toEqual(${value})`, rest);
  }
  return code.join(";");
}
