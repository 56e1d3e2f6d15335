// The demo, run as a user runs it: every danger averted, and its JSON as documented.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const run = promisify(execFile);

interface Scene {
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  calls: Array<{ tool: string; arguments: Record<string, unknown>; result: any }>;
  verdict: { held: boolean; because: string };
}

describe("demo", () => {
  it("--json prints one document in which every scene held", async () => {
    const { stdout } = await run(process.execPath, [CLI, "demo", "--json"]);
    const { scenes } = JSON.parse(stdout) as { scenes: Scene[] };
    expect(scenes.map(({ name }) => name)).toEqual([
      "danger-1-stale-instance-count",
      "danger-2-silent-rule-deletion",
      "danger-3-accidental-rollback",
      "drift-found-and-reverted",
      "history-and-rollback",
    ]);
    for (const { name, verdict } of scenes) expect(verdict.held, `${name}: ${verdict.because}`).toBe(true);
    const [count, rules, rollback] = scenes as [Scene, Scene, Scene];

    const second = count.calls.at(-1)!.result;
    expect(second).toMatchObject({ count: 2, sandbox: true, account: "000000000000" });
    expect(second.staleNotices[0]).toMatchObject({ youSaw: { count: 4 }, now: { count: 2 } });

    const refused = rules.calls.find(({ tool }) => tool === "securityGroups_update")!.result;
    expect(refused).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.message).toContain("tcp/22 from 10.0.0.0/8");
    const after = rules.calls.at(-1)!.result.securityGroup.rules.map((rule: { fromPort?: number }) => rule.fromPort);
    expect(after).toContain(22);

    const plans = rollback.calls.filter(({ tool, result }) => tool === "state_rollback" && result.planned);
    expect(plans).toHaveLength(1);
    const targets = plans.flatMap(({ result }) => result.change.steps).flatMap(({ differences }) => differences);
    expect(targets.map(({ after: to }: { after: string }) => to)).toEqual([expect.stringMatching(/:23$/)]);
    expect(JSON.stringify(targets)).not.toMatch(/:22"/);
  });

  it("is readable in a terminal and prints what the assistant was told", async () => {
    const { stdout } = await run(process.execPath, [CLI, "demo"]);
    expect(stdout).toContain("STALE instances_list");
    expect(stdout).toContain("refused stale_revision");
    expect(stdout).toContain(
      "[System: Cache invalidated for securityGroups_*, instances_* — caused by securityGroups_addRule]",
    );
    expect(stdout).not.toContain("NOT HELD");
  });
});
