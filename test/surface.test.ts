// The served surface, pinned: what tools/list answers by default, what it costs, and that it is the same every time.

import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Assistant, startAssistant } from "./harness.js";

describe("tools/list", () => {
  let writing: Assistant;
  let tools: Awaited<ReturnType<Assistant["tools"]>>;

  beforeAll(async () => {
    writing = await startAssistant({ args: ["--allow-writes"] });
    tools = await writing.tools();
  });
  afterAll(() => writing.close());

  it("is what was reviewed", async () => {
    await expect(`${JSON.stringify(tools, null, 2)}\n`).toMatchFileSnapshot("surface.json");
  });

  it("stays within 30 tools and 8,000 tokens (o200k), descriptions within 600 characters", () => {
    expect(tools.length).toBeLessThanOrEqual(30);
    expect(encode(JSON.stringify(tools)).length).toBeLessThanOrEqual(8_000);
    for (const tool of tools) expect(tool.description!.length, tool.name).toBeLessThanOrEqual(600);
  });

  it("has names every large client accepts, and complete hints", () => {
    for (const tool of tools) {
      expect(tool.name).toMatch(/^[a-z][A-Za-z0-9]*(_[a-z][A-Za-z0-9]*)+$/);
      const apply = tool.name === "changes_apply";
      expect(tool.annotations, tool.name).toMatchObject({ readOnlyHint: !apply, destructiveHint: apply });
      expect(tool.description, tool.name).toMatch(/ \[Cache-Control: (no-store|immutable)\]$/);
    }
  });

  it("has schemas no client rejects the whole list for, in every toolset", async () => {
    const every = await startAssistant({ args: ["--allow-writes", "--toolsets", "all"] });
    for (const { name, inputSchema, outputSchema } of await every.tools()) {
      expect(JSON.stringify(inputSchema), name).not.toMatch(/"\$schema"|"format":"|"pattern":"|"type":\[/);
      expect(JSON.stringify(outputSchema), name).not.toMatch(/"\$schema"|"type":\[|"additionalProperties":false/);
    }
    await every.close();
  });

  it("is in the same order for every connection and both generations", async () => {
    for (const client of ["v1", "v2-2026"] as const) {
      const other = await startAssistant({ args: ["--allow-writes"], client });
      expect(await other.tools()).toEqual(tools);
      await other.close();
    }
  });

  it("has no changes_apply without --allow-writes, also when --read-only stands beside it", async () => {
    for (const args of [[], ["--allow-writes", "--read-only"]]) {
      const reading = await startAssistant({ args });
      const names = (await reading.tools()).map((tool) => tool.name);
      expect(names).not.toContain("changes_apply");
      expect(names).toContain("securityGroups_addRule");
      await reading.close();
    }
  });

  it("serves dotted names, toolsets and everything on demand", async () => {
    const dotted = await startAssistant({ args: ["--tool-names", "dotted", "--toolsets", "all", "--allow-writes"] });
    const names = (await dotted.tools()).map((tool) => tool.name);
    expect(names).toContain("securityGroups.update");
    expect(names.length).toBeGreaterThan(tools.length);
    await dotted.close();
    const some = await startAssistant({ args: ["--toolsets", "regions,state"] });
    expect((await some.tools()).map((tool) => tool.name)).toEqual([
      "regions_list",
      "state_history",
      "state_drift",
      "state_rollback",
      "state_save",
      "state_load",
      "state_verify",
      "state_export",
    ]);
    await some.close();
  });
});
