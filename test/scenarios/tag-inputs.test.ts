// What users bring along to the tag tools: their file of resource types, clients that wrap arguments, resources of stacks.

import { writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../harness.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { UNHURRIED } from "../unhurried.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

function withTypes(value: unknown): Promise<InMemory> {
  const path = `${folder.path}/resource_types.json`;
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return inMemory({ env: { ...UNHURRIED, RESOURCE_TYPES_CONFIG_PATH: path, POLICY_PATH: "none.json" } });
}

describe("the operator's file of resource types", () => {
  it("says what `all` means, and what it names that cannot be listed is said and skipped", async () => {
    const assistant = await withTypes({
      _comment: "ours",
      cost_generating_resources: { _note: "grouped", compute: ["ec2:instance"], messaging: ["sns:topic"] },
      free_resources: ["ec2:vpc"],
      service_name_mapping: { _note: "renamed", "ec2:instance": "Our Compute" },
      unattributable_services: ["Tax"],
    });
    const policy = await assistant.call("tags_policy");
    expect(policy.all_applicable_resource_types).toEqual(["ec2:instance"]);
    expect(policy.policy_warnings).toEqual([expect.stringContaining("sns:topic")]);
    const found = await assistant.call("tags_check", { resource_types: ["all", "rds:db"] });
    expect(found).toMatchObject({
      total_resources: 4,
      data_quality: { status: "complete" },
      skipped_types: ["rds:db"],
    });
    await assistant.close();
  });

  it.each([
    [{ cost_generating_resources: "ec2:instance" }, "cost_generating_resources"],
    [{ cost_generating_resources: ["EC2 instances"] }, "cost_generating_resources.0"],
    [{ service_name_mapping: { "ec2:instance": 7 } }, "service_name_mapping.ec2:instance"],
    [{ unattributable_services: [1] }, "unattributable_services"],
    [[], "the file"],
  ])("is refused by its field where it is wrong: %j", async (value, field) => {
    const assistant = await withTypes(value);
    for (const tool of ["tags_policy", "tags_check"]) {
      const refused = await assistant.call(tool, tool === "tags_check" ? { resource_types: ["all"] } : {});
      expect(refused).toMatchObject({ isError: true, code: "validation_error", field_in_file: field });
    }
    await assistant.close();
  });

  it("is refused where it is no JSON, and missed by name where there is none", async () => {
    const broken = await withTypes("{ not json");
    expect(await broken.call("tags_policy")).toMatchObject({ isError: true, code: "validation_error" });
    await broken.close();
    const path = `${folder.path}/nowhere.json`;
    const without = await inMemory({
      env: { ...UNHURRIED, RESOURCE_TYPES_CONFIG_PATH: path, POLICY_PATH: "none.json" },
    });
    const { policy_warnings, all_applicable_resource_types } = await without.call("tags_policy");
    expect(policy_warnings).toEqual([expect.stringContaining("nowhere.json")]);
    expect(all_applicable_resource_types).toHaveLength(42);
    await without.close();
  });
});

describe("arguments that a client has wrapped", () => {
  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["a list of one for a word", { severity: ["errors_only"] }, { severity: "errors_only" }],
    ["the same as text", { severity: '["errors_only"]' }, { severity: "errors_only" }],
    ["a list as text", { resource_types: '["ec2:instance"]' }, {}],
    ["a number in a list", { limit: ["2"].map(Number) }, { limit: 2 }],
    ["a switch in a list", { force_refresh: [true] }, {}],
    ["a region as text", { region: '["eu-west-1"]' }, {}],
    ["inside of an object", { filters: { account_id: '["000000000000"]' } }, {}],
  ])("%s", async (_what, given, plain) => {
    const assistant = await inMemory();
    const ask = { resource_types: ["ec2:instance"] };
    const wanted = await assistant.call("tags_check", { ...ask, ...plain });
    const found = await assistant.call("tags_check", { ...ask, ...given });
    expect(found.isError, JSON.stringify(found)).toBeUndefined();
    expect(found.violation_count).toBe(wanted.violation_count);
    expect(found.violations.length).toBe(wanted.violations.length);
    await assistant.close();
  });

  it("stay wrong where more than one is given, or where it is no list", async () => {
    const assistant = await inMemory();
    const ask = { resource_types: ["ec2:instance"] };
    for (const severity of [["all", "errors_only"], '["all", "errors_only"]', "[all]", '["a\\u006cl"]']) {
      expect(await assistant.call("tags_check", { ...ask, severity })).toMatchObject({
        isError: true,
        field: "severity",
      });
    }
    expect(await assistant.call("tags_check", { ...ask, limit: true })).toMatchObject({
      isError: true,
      field: "limit",
    });
    // Text that is carried on is left as it is.
    const planned = await assistant.call("instances_launch", {
      ...{ imageId: "ami-0cc00000000000001", instanceType: "t3.micro", intent: '["because"]' },
    });
    const change = await assistant.call("changes_get", { changeId: planned.change.changeId });
    expect(JSON.stringify(change)).toContain('[\\"because\\"]');
    await assistant.close();
  });

  it("are looked at for attacks all the same", async () => {
    const assistant = await inMemory();
    const given = { resource_types: ["ec2:instance"], severity: ['["<script>"]'] };
    expect(await assistant.call("tags_check", given)).toMatchObject({ isError: true, code: "security_violation" });
    await assistant.close();
  });
});

describe("tags of what a CloudFormation stack owns", () => {
  const plan = async (args: readonly string[]) => {
    const assistant = await inMemory({ args });
    // Before anything is read there is no world to edit.
    await assistant.call("instances_list");
    await assistant.edit(({ instances }) => {
      Object.values(instances)[0]!.tags["aws:cloudformation:stack-name"] = "web, and </b>";
    });
    const { instances, account, region } = await assistant.call("instances_list");
    const resource_arn = `arn:aws:ec2:${region}:${account}:instance/${instances[0].instanceId}`;
    const planned = await assistant.call("tags_apply", {
      ...{ changes: [{ resource_arn, set: { Owner: "web" } }], intent: "owners for all" },
    });
    await assistant.close();
    return planned;
  };

  it("are planned only where the operator allows it, with the warning that the stack undoes them", async () => {
    expect(await plan([])).toMatchObject({ isError: true, code: "stack_owned", stack: { name: "web, and </b>" } });
    const { change } = await plan(["--allow-stack-owned"]);
    expect(change.warnings).toEqual([expect.stringMatching(/CloudFormation stack .* next update may undo this/)]);
    // The stack's name is others' text: it stands in its own field.
    expect(change.warnings.join()).not.toContain("</b>");
    expect(change.facts.resources[0].stack).toBe("web, and </b>");
  });
});
