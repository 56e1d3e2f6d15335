// What is refused before anything looks at it, and what only looks like it: two tables, through the schemas of the real tools.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Argument, CONTROL, unclean } from "../../policies/hygiene.js";
import { createCatalogue } from "../../src/catalogue.js";
import { argumentOf } from "../../src/core/argument.js";
import { isData } from "../../src/core/tool.js";
import { domains } from "../../tools/index.js";

const catalogue = createCatalogue(domains, { allowWrites: true });
const argumentsOf = (tool: string): Argument => {
  const entry = catalogue.find(tool);
  return entry ? argumentOf(entry.input) : CONTROL;
};

const rows = (file: string): string[][] =>
  readFileSync(join(import.meta.dirname, file), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("# "))
    .map((line) => line.split("\t"));

/** Escapes as in JSON; whatever else has a backslash is meant as it stands. */
const text = (written: string): string => {
  try {
    return JSON.parse(`"${written}"`);
  } catch {
    return written;
  }
};

const given = (path: string, value: string): object =>
  path.split(".").reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as object;

const KINDS: Readonly<Record<string, string>> = { null: "null_byte_injection", control: "control_character" };

describe("malicious", () => {
  const table = rows("malicious.tsv");

  it.each(table)("%s in %s %s: %s", (what, tool, path, written) => {
    const found = unclean(given(path!, text(written!)), argumentsOf(tool!));
    expect(found).toMatchObject({ kind: KINDS[what!] ?? "injection_attempt", field: path });
    expect(JSON.stringify(found)).not.toContain(JSON.stringify(text(written!)).slice(1, -1));
  });

  it("there are 200 and more, none of them twice", () => {
    expect(table.length).toBeGreaterThanOrEqual(200);
    expect(new Set(table.map((row) => row.at(-1))).size).toBe(table.length);
  });
});

describe("innocent", () => {
  const table = rows("innocent.tsv");

  it.each(table)("%s %s: %s", (tool, path, written) => {
    expect(unclean(given(path!, text(written!)), argumentsOf(tool!))).toBeNull();
  });

  it("there are 200 and more", () => expect(table.length).toBeGreaterThanOrEqual(200));
});

describe("sizes", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) });
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 1]));

  it.each([
    ["excessive_nesting", nested(7), nested(6)],
    ["excessive_keys", keys(51), keys(50)],
    ["excessive_key_length", { ["k".repeat(1_025)]: 1 }, { ["k".repeat(1_024)]: 1 }],
    ["excessive_array_length", { a: Array(1_001).fill(1) }, { a: Array(1_000).fill(1) }],
    ["excessive_string_length", { a: "x".repeat(1_025) }, { a: "x".repeat(1_024) }],
  ])("%s: refused, and one less is not", (kind, tooMuch, enough) => {
    expect(unclean(tooMuch)).toMatchObject({ kind });
    expect(unclean(enough)).toBeNull();
  });

  it("a schema may declare larger texts, and documents have room", () => {
    const launch = argumentsOf("instances.launch");
    expect(unclean({ userData: "x".repeat(16_384) }, launch)).toBeNull();
    expect(unclean({ userData: "x".repeat(70_000) }, launch)).toMatchObject({ kind: "excessive_string_length" });
    const create = argumentsOf("resources.create");
    expect(unclean({ properties: { ...keys(200), Deep: nested(20), Code: "x".repeat(200_000) } }, create)).toBeNull();
    expect(unclean({ properties: { Deep: nested(40) } }, create)).toMatchObject({ kind: "excessive_nesting" });
    expect(unclean({ cursor: "x".repeat(8_000) }, argumentsOf("instances.list"))).toBeNull();
  });

  it("no text makes a pattern slow", () => {
    for (const piece of [
      "<",
      "' or ",
      "..",
      "$(",
      "`",
      "%2e",
      "a|",
      "union ",
      ";",
      "<script",
      "or 1=",
      '"',
      "{{",
      " ",
    ]) {
      const start = performance.now();
      unclean({ a: piece.repeat(Math.floor(1_024 / piece.length)) });
      expect(performance.now() - start, piece).toBeLessThan(2_000);
    }
  });
});

describe("a declaration", () => {
  it("prose is data by the name of its field, at any depth", () => {
    const found = JSON.stringify(argumentOf(catalogue.find("securityGroups.addRule")!.input));
    expect(found).toMatch(/"description":\{"is":"data"/);
    expect(unclean({ groupId: "sg-1; rm x" }, argumentsOf("securityGroups.addRule"))).toMatchObject({
      field: "groupId",
    });
  });

  it("what is declared stays declared behind describe, optional and default", () => {
    const { intent } = catalogue.find("instances.launch")!.input.shape;
    expect(argumentOf(intent!)).toMatchObject({ is: "data" });
    expect(isData(intent!)).toBe(true);
  });
});
