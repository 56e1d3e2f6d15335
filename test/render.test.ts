// What a client sees: the same object twice, hiding characters gone, secrets gone, bounded.

import { describe, expect, it } from "vitest";
import { OpsError } from "../src/core/errors.js";
import { present, render } from "../src/render.js";

const frame = {
  at: new Date("2026-11-21T00:00:00Z"),
  sandbox: false,
  storeProblem: null,
  spell: (tool: string) => tool.replace(".", "_"),
};

describe("render", () => {
  it("puts the same object into structured content and text, stale notices first", () => {
    const notice = {
      what: "instances.list",
      youSaw: { count: 4 },
      now: { count: 2 },
      since: "t",
      readAgainWith: { tool: "instances.list", arguments: {} },
    };
    const result = render(
      { status: "ok", data: { count: 2 }, staleNotices: [notice], account: "1", region: "r" },
      frame,
    );
    expect(JSON.parse(result.content[0]!.text)).toEqual(result.structuredContent);
    expect(Object.keys(result.structuredContent)).toEqual(["staleNotices", "asOf", "account", "region", "count"]);
    expect(result.structuredContent.staleNotices).toMatchObject([
      { what: "instances_list", readAgainWith: { tool: "instances_list" } },
    ]);
  });

  it("says what is known to be unchanged", () => {
    const refused = render({ status: "refused", error: new OpsError("rule_exists", "m", { field: "rule" }) }, frame);
    expect(refused).toMatchObject({
      isError: true,
      structuredContent: { code: "rule_exists", field: "rule", nothingWasChanged: true, fixableBy: "caller" },
    });
    const failed = render({ status: "failed", applied: "maybe", error: new OpsError("outcome_unknown", "m") }, frame);
    expect(failed.structuredContent.nothingWasChanged).toBe("unknown");
  });

  it("shows text from AWS without the characters that hide or reorder it, and not without end", () => {
    const name = `api\u202e\u200b\u{E0041}\u0007${"x".repeat(400)}`;
    const { tags, name: shown } = present({ name, tags: { note: name } }) as { name: string; tags: { note: string } };
    for (const text of [shown, tags.note]) {
      expect(text).toMatch(/^apixxx/);
      expect(text).toContain("truncated");
      expect(text.length).toBeLessThan(320);
    }
    expect(present({ description: "line\nbreak\ttab" })).toEqual({ description: "line\nbreak\ttab" });
  });

  it("redacts by name wherever a secret stands", () => {
    expect(present({ a: [{ MasterUserPassword: "x", Name: "y" }] })).toEqual({
      a: [{ MasterUserPassword: "[redacted]", Name: "y" }],
    });
  });
});
