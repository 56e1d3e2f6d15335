// Exceptions in their file: two calls at once are two exceptions, and what was told in memory is not forgotten for a file.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { ReadPorts } from "../../src/core/ports.js";
import type { ReadTool } from "../../src/core/tool.js";
import { taggingFiles } from "../../src/tagging/files.js";
import { tags } from "../../tools/tags.js";
import { temporaryFolder } from "../harness.js";

const NOW = new Date("2026-11-28T12:00:00.000Z");
const arn = (id: number) => `arn:aws:ec2:eu-west-1:123456789012:volume/vol-${id}`;
let folder: ReturnType<typeof temporaryFolder>;

beforeEach(() => {
  folder = temporaryFolder();
  writeFileSync(`${folder.path}/policy.json`, "{}");
});
afterEach(() => folder.remove());

function caller(own: string | null) {
  const policyPath = `${folder.path}/policy.json`;
  const files = taggingFiles({ policyPath, folder: own, fallbackToDefault: true, clock: { now: () => NOW } });
  const ports = { tagging: { files }, now: NOW, caller: { arn: "arn:aws:iam::123456789012:user/ada" } };
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  return async (given: object): Promise<any> => {
    const { input, run } = tags.tools.exceptions as ReadTool;
    return (await run(input.parse(given), ports as unknown as ReadPorts)).data;
  };
}
const add = (id: number) => ({ action: "add", arn: arn(id), reason: "a sandbox", expires: "2026-12-31" });

it("ten added at once are ten, and every file that was replaced is kept", async () => {
  const call = caller(folder.path);
  await Promise.all(Array.from({ length: 10 }, (_, id) => call(add(id))));
  expect((await call({})).exceptions).toHaveLength(10);
  expect(JSON.parse(readFileSync(`${folder.path}/tag_exceptions.json`, "utf8"))).toHaveLength(10);
  expect(readdirSync(folder.path).filter((name) => name.endsWith(".bak"))).toHaveLength(9);
});

it("where nothing may be written, one that was added beside those of the file is listed and counts", async () => {
  const inFile = [{ arn: arn(0), reason: "of old", expires: "2026-12-31" }];
  writeFileSync(`${folder.path}/tag_exceptions.json`, JSON.stringify(inFile));
  const call = caller(null);
  await call(add(1));
  expect((await call({})).exceptions).toHaveLength(2);
  expect(JSON.parse(readFileSync(`${folder.path}/tag_exceptions.json`, "utf8"))).toEqual(inFile);
});
