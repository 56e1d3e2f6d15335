// Tag policies of AWS Organizations on moto, taken over as the tagging policy. moto has no effective policies: those are scripted.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import {
  CreateOrganizationCommand,
  CreatePolicyCommand,
  EnablePolicyTypeCommand,
  ListRootsCommand,
  OrganizationsClient,
} from "@aws-sdk/client-organizations";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Assistant, temporaryFolder } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("tag policies on moto, effective ones scripted", import.meta.url);

const CONTENT = {
  tags: {
    costcenter: {
      tag_key: { "@@assign": "CostCenter" },
      tag_value: { "@@assign": ["100", "200*"] },
      enforced_for: { "@@assign": ["ec2:volume", "es:domain"] },
    },
    project: { tag_key: { "@@assign": "Project" }, tag_value: { "@@assign": ["Alpha"] } },
  },
};
const PLAIN = { tags: { owner: { tag_key: "Owner", report_required_tag_for: ["ec2:*"] } } };

describe.skipIf(!product)("tag policies on moto, effective ones scripted", () => {
  const { proxy, ledger, calls, moto } = (product ?? {}) as Product;
  const folders: { remove(): void }[] = [];
  let assistant: Assistant;

  const effective = (times = Number.POSITIVE_INFINITY) =>
    proxy.rule({
      ...{ service: "organizations", operation: "DescribeEffectivePolicy", times },
      reply: { body: JSON.stringify({ EffectivePolicy: { PolicyContent: JSON.stringify(PLAIN) } }) },
    });
  const refused = (operation: string, code: string, times = Number.POSITIVE_INFINITY) =>
    proxy.rule({ service: "organizations", operation, answer: { status: 400, code }, times });

  /** A server in a folder of its own. */
  async function started(env: Record<string, string> = {}): Promise<string> {
    const folder = temporaryFolder();
    folders.push(folder);
    assistant = await product!.start({
      env: { POLICY_PATH: `${folder.path}/policy.json`, ...env },
      args: ["--state", `${folder.path}/state`],
    });
    return folder.path;
  }

  async function organization(...names: string[]): Promise<string[]> {
    const client = new OrganizationsClient({
      ...{ endpoint: moto.endpoint, region: "us-east-1" },
      credentials: { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" },
    });
    await client.send(new CreateOrganizationCommand({ FeatureSet: "ALL" }));
    const { Roots = [] } = await client.send(new ListRootsCommand({}));
    await client.send(new EnablePolicyTypeCommand({ RootId: Roots[0]!.Id, PolicyType: "TAG_POLICY" }));
    const made = names.map((Name) =>
      client.send(
        new CreatePolicyCommand({ Name, Description: "tags", Type: "TAG_POLICY", Content: JSON.stringify(CONTENT) }),
      ),
    );
    const ids = (await Promise.all(made)).map(({ Policy }) => Policy!.PolicySummary!.Id!);
    client.destroy();
    return ids;
  }

  beforeEach(async () => {
    await moto.reset();
    proxy.clear();
  });
  afterEach(async ({ task }) => {
    ledger.settle(task);
    await assistant.close();
  });
  afterAll(async () => {
    await product!.close();
    for (const folder of folders) folder.remove();
  });

  it("lists them, imports one, judges by it at once, and keeps the file it replaced", async () => {
    const [id] = await organization("Costs");
    refused("DescribeEffectivePolicy", "EffectivePolicyNotFoundException");
    const path = await started({ AUTO_IMPORT_AWS_POLICY: "false" });
    expect((await assistant.call("tags_policy")).data.policy_source).toMatchObject({ source: "default" });
    const listed = await assistant.call("import_aws_tag_policy");
    expect(listed.data, JSON.stringify(listed.data)).toMatchObject({
      status: "listed",
      available_policies: [{ policy_id: id, policy_name: "Costs", description: "tags" }],
      not_read: [],
    });
    const shown = await assistant.call("tags_importPolicy", { policy_id: id, save_to_file: false });
    expect(shown.data).toMatchObject({
      status: "success",
      summary: { required_tags_count: 1, optional_tags_count: 1 },
    });
    expect((await assistant.call("tags_policy")).data.required_tags[0].name).toBe("Owner");
    const saved = await assistant.call("tags_importPolicy", { policy_id: id });
    expect(saved.data, JSON.stringify(saved.data)).toMatchObject({
      ...{ status: "saved", saved_to: `${path}/policy.json`, in_force: true, warnings: [] },
      summary: { enforced_services: ["ec2", "es"] },
      policy: { metadata: { policy_id: id, policy_name: "Costs" } },
    });
    expect(JSON.parse(readFileSync(saved.data.kept, "utf8")).required_tags[0].name).toBe("Owner");
    expect((await assistant.call("tags_policy")).data).toMatchObject({
      required_tags: [{ name: "CostCenter", applies_to: ["ec2:volume", "opensearch:domain"] }],
      optional_tags: [{ name: "Project", allowed_values: ["Alpha"] }],
      policy_source: { source: "existing_file" },
    });
  });

  it("writes nowhere but into the policy's folder", async () => {
    const [id] = await organization("Costs");
    const path = await started({ AUTO_IMPORT_AWS_POLICY: "false" });
    await assistant.call("tags_policy");
    for (const output_path of ["/tmp/elsewhere.json", "policy.txt", "tag_exceptions.json", "deeper/policy.json"]) {
      const answer = await assistant.call("tags_importPolicy", { policy_id: id, output_path });
      expect(answer.data, output_path).toMatchObject({ code: "validation_error", field: "output_path" });
    }
    expect((await assistant.call("tags_importPolicy", { policy_id: id, output_path: "../policy.json" })).isError).toBe(
      true,
    );
    const beside = await assistant.call("tags_importPolicy", { policy_id: id, output_path: "from-aws.json" });
    expect(beside.data).toMatchObject({ saved_to: `${path}/from-aws.json`, in_force: false });
    expect(readdirSync(path).sort()).toEqual(["from-aws.json", "policy.json"]);
  });

  it("imports what is in force for the account where single policies are denied, as in a member account", async () => {
    effective();
    refused("ListPolicies", "AccessDeniedException");
    await started({ AUTO_IMPORT_AWS_POLICY: "false" });
    expect((await assistant.call("tags_importPolicy")).data).toMatchObject({
      available_policies: [{ policy_id: "effective" }],
      not_read: ["organizations:ListPolicies: access_denied"],
    });
    const saved = await assistant.call("tags_importPolicy", { policy_id: "effective" });
    expect(saved.data).toMatchObject({ status: "saved", policy: { required_tags: [{ name: "Owner" }] } });
    expect((await assistant.call("tags_policy")).data.required_tags[0].applies_to).toContain("ec2:snapshot");
  });

  it("names what it lacks where everything is denied, and what is not there", async () => {
    refused("DescribeEffectivePolicy", "AccessDeniedException");
    refused("ListPolicies", "AccessDeniedException");
    await started({ AUTO_IMPORT_AWS_POLICY: "false" });
    expect((await assistant.call("tags_importPolicy")).data).toMatchObject({
      ...{ code: "access_denied", status: "error" },
      actions: expect.arrayContaining(["organizations:ListPolicies", "organizations:DescribePolicy"]),
    });
    await organization("Costs");
    expect((await assistant.call("tags_importPolicy", { policy_id: "p-0000000000" })).data).toMatchObject({
      ...{ code: "not_found", field: "policy_id" },
    });
    expect((await assistant.call("tags_importPolicy", { policy_id: "x" })).data).toMatchObject({ field: "policy_id" });
  });

  it("takes the policy in force at the first tag call where there is no file, once, and asks no more", async () => {
    effective();
    const path = await started();
    const [first, second] = await Promise.all([assistant.call("tags_policy"), assistant.call("tags_policy")]);
    expect(first.data.policy_source, JSON.stringify(first.data)).toMatchObject({
      ...{ source: "aws_organizations", success: true, aws_policy_id: "effective" },
    });
    expect(second.data.required_tags).toEqual(first.data.required_tags);
    expect((await assistant.call("get_tagging_policy")).data.policy_source.source).toBe("existing_file");
    expect(calls("organizations", "DescribeEffectivePolicy")).toHaveLength(1);
    expect(readdirSync(path).sort()).toEqual(["policy.json"]);
  });

  it("takes the first one where only the older calls are allowed, or the one the operator names", async () => {
    const [, second] = await organization("One", "Two");
    refused("DescribeEffectivePolicy", "AccessDeniedException");
    await started();
    const { policy_source } = (await assistant.call("tags_policy")).data;
    expect(policy_source).toMatchObject({ source: "aws_organizations", aws_policy_id: expect.stringMatching(/^p-/) });
    await assistant.close();
    await started({ AUTO_IMPORT_POLICY_ID: second! });
    expect((await assistant.call("tags_policy")).data.policy_source.aws_policy_id).toBe(second);
  });

  it.each([
    ["AWSOrganizationsNotInUseException", "no organization", true],
    ["AccessDeniedException", "denied", true],
    ["ServiceException", "aws_unavailable", false],
  ])(
    "falls back to the default on %s, says why, and writes it only where that stands",
    async (code, why, written) => {
      const status = code === "ServiceException" ? 500 : 400;
      for (const operation of ["DescribeEffectivePolicy", "ListPolicies"]) {
        proxy.rule({ service: "organizations", operation, answer: { status, code }, times: 99 });
      }
      const path = await started();
      const { policy_source, required_tags } = (await assistant.call("tags_policy")).data;
      expect(policy_source).toMatchObject({ source: "default", success: true, message: expect.stringContaining(why) });
      expect(required_tags).toHaveLength(3);
      expect(existsSync(`${path}/policy.json`)).toBe(written);
    },
    20_000,
  );

  it("makes no policy at all where the operator lets none be made", async () => {
    refused("DescribeEffectivePolicy", "AWSOrganizationsNotInUseException");
    await started({ FALLBACK_TO_DEFAULT_POLICY: "false" });
    expect((await assistant.call("tags_policy")).data).toMatchObject({ code: "not_found", source: "none" });
  });
});
