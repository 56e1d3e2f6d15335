// aws-devops-mcp iam-policy, as somebody types it: what it prints is a policy that IAM takes, and what it refuses it explains.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { charactersOf, MOST_CHARACTERS, type Policy, policiesFor, readActions } from "../../src/iam/policy.js";
import { USES } from "../../src/iam/uses.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const run = (...args: string[]) => {
  // Neither AWS nor a home folder: it asks nobody and writes nothing.
  const env = { PATH: process.env.PATH ?? "", HOME: "/nonexistent" };
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, "iam-policy", ...args], {
    encoding: "utf8",
    env,
  });
  return { status, stdout, stderr };
};
const printed = (...args: string[]): Policy => {
  const { status, stdout, stderr } = run(...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return JSON.parse(stdout) as Policy;
};
const actions = (policies: readonly Policy[], sid?: string): string[] =>
  policies.flatMap(({ Statement }) =>
    Statement.filter(({ Sid }) => sid === undefined || Sid === sid).flatMap(({ Action }) => Action),
  );

describe("aws-devops-mcp iam-policy", () => {
  it("prints what reading needs, and no more", () => {
    const policy = printed("--toolsets", "costs");
    expect(policy).toEqual({
      Version: "2012-10-17",
      Statement: [
        {
          Sid: "Read",
          Effect: "Allow",
          Action: [
            "ce:GetAnomalies",
            "ce:GetAnomalyMonitors",
            "ce:GetCostAndUsage",
            "ce:GetCostForecast",
            "cloudtrail:LookupEvents",
            "ec2:DescribeRegions",
            "pricing:GetProducts",
          ],
          Resource: "*",
        },
      ],
    });
    expect(printed("--toolsets", "costs", "--write")).toEqual(policy);
  });

  it("with --write also what changes need, and hands roles only to those that take them", () => {
    const policy = printed("--toolsets", "deployments,securityGroups", "--write");
    expect(policy.Statement.map(({ Sid }) => Sid)).toEqual(["Read", "Write", "PassRole"]);
    expect(actions([policy], "Write")).toEqual(
      expect.arrayContaining(["ec2:AuthorizeSecurityGroupIngress", "ecs:UpdateService", "ecs:TagResource"]),
    );
    expect(actions([policy], "Write")).not.toContain("ec2:TerminateInstances");
    expect(policy.Statement[2]).toMatchObject({
      Action: ["iam:PassRole"],
      Condition: {
        StringEquals: { "iam:PassedToService": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com", "ecs.amazonaws.com"] },
      },
    });
  });

  it("is for everything where nothing is chosen, and every policy of it is one that IAM takes", () => {
    const all = [JSON.parse(run("--write").stdout) as Policy | Policy[]].flat();
    expect(all).toEqual([JSON.parse(run("--toolsets", "all", "--write").stdout)].flat());
    for (const policy of all) expect(charactersOf(policy)).toBeLessThanOrEqual(MOST_CHARACTERS);
  });

  it.each([
    [["--toolsets", "databses"], '"databses" is no toolset', "databases"],
    [["--toolsets", "audit"], '"audit" is no toolset that asks AWS', "instances"],
    [["--toolsets", "costs", "--out", "x"], "iam-policy takes --toolsets, --write and --cloudwatch", ""],
    [["costs"], "iam-policy takes --toolsets, --write and --cloudwatch", ""],
  ])("%j is refused with what there is, and prints no policy", (args, told, names) => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(told);
    expect(stderr).toContain(names);
  });
});

describe("what is longer than IAM takes", () => {
  it("is split into policies that each fit and together allow the same", () => {
    const toolsets = fc.subarray(Object.keys(USES), { minLength: 1 });
    fc.assert(
      fc.property(toolsets, fc.boolean(), fc.integer({ min: 400, max: MOST_CHARACTERS }), (chosen, write, most) => {
        const [whole, ...none] = policiesFor(chosen, { write });
        expect(none).toEqual([]);
        const split = policiesFor(chosen, { write, most });
        for (const policy of split) {
          expect(charactersOf(policy)).toBeLessThanOrEqual(most);
          for (const statement of policy.Statement) expect(statement.Action).not.toEqual([]);
        }
        for (const { Sid } of whole!.Statement) expect(actions(split, Sid)).toEqual(actions([whole!], Sid));
        // A condition goes with every part of its statement.
        const passing = split
          .flatMap(({ Statement }) => Statement)
          .filter(({ Action }) => Action.includes("iam:PassRole"));
        for (const { Condition } of passing) expect(Condition).toBeDefined();
      }),
    );
  });
});

it("tag scans may list what they read through Cloud Control", () => {
  expect(readActions(["tags"])).toEqual(
    expect.arrayContaining(["cloudformation:ListResources", "cloudformation:GetResource"]),
  );
});
