// region "*" on moto: every enabled region is asked, what could not be read is named, and pages go on where they stopped.

import {
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DescribeImagesCommand,
  type EC2Client,
  RunInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import { CreateClusterCommand, CreateServiceCommand, RegisterTaskDefinitionCommand } from "@aws-sdk/client-ecs";
import { encode } from "gpt-tokenizer/encoding/o200k_base";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Answer, Assistant } from "../harness.js";
import { clientsFor } from "./clients.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("every region on moto", import.meta.url);

interface Row {
  readonly region: string;
  readonly instanceId: string;
  readonly revision: string;
}

describe.skipIf(!product)("every region on moto", () => {
  const { proxy, ledger, moto } = (product ?? {}) as Product;
  const abroad = new Map<string, ReturnType<typeof clientsFor>>();
  let assistant: Assistant;

  const ec2In = (region: string): EC2Client => {
    const clients = abroad.get(region) ?? clientsFor(moto.endpoint, { region });
    abroad.set(region, clients);
    return clients.ec2;
  };
  const launch = async (region: string, count: number): Promise<string[]> => {
    const { Images = [] } = await ec2In(region).send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    // One at a time: the emulator pages by reservation.
    const launched: string[] = [];
    while (launched.length < count) {
      const { Instances = [] } = await ec2In(region).send(
        new RunInstancesCommand({ ImageId: Images[0]!.ImageId!, MinCount: 1, MaxCount: 1 }),
      );
      launched.push(Instances[0]!.InstanceId!);
    }
    return launched;
  };
  const idsOf = ({ data }: Answer): string[] => data.instances.map(({ instanceId }: Row) => instanceId);
  const regionsOf = ({ data }: Answer): string[] => [...new Set<string>(data.instances.map((row: Row) => row.region))];

  const made: Record<string, string[]> = {};
  beforeAll(async () => {
    await moto.reset();
    for (const [region, count] of [
      ["eu-west-1", 4],
      ["us-east-1", 12],
      ["us-west-2", 2],
    ] as const) {
      made[region] = await launch(region, count);
    }
    assistant = await product!.start();
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    for (const clients of abroad.values()) clients.close();
    await product!.close();
  });

  it("answers for all of them at once: rows with their region, counts added up, empty regions said", async () => {
    const all = await assistant.call("instances_list", { region: "*" });
    expect(all.isError, JSON.stringify(all.data)).toBe(false);
    expect(all.data).toMatchObject({ account: "123456789012", region: "*", count: 18, inService: 18 });
    expect(regionsOf(all)).toEqual(["eu-west-1", "us-east-1", "us-west-2"]);
    expect(idsOf(all).sort()).toEqual(Object.values(made).flat().sort());
    expect(all.data.regions).toEqual([
      { region: "eu-west-1", rows: 4 },
      { region: "us-east-1", rows: 12 },
      { region: "us-west-2", rows: 2 },
    ]);
    expect(all.data.emptyRegions).toContain("ap-south-1");
    expect(all.data.failedRegions).toBeUndefined();
    expect(encode(all.text[0]!).length).toBeLessThanOrEqual(5_000);
    const asked = proxy.calls({ operation: "DescribeInstances" }).map(({ region }) => region);
    expect(new Set(asked)).toEqual(new Set([...all.data.emptyRegions, ...Object.keys(made)]));
  });

  it("goes on where it stopped, region by region, without loss or repetition", async () => {
    const seen: string[] = [];
    let answer = await assistant.call("instances_list", { region: "*", limit: 5 });
    expect(answer.data).toMatchObject({ count: 18, inService: 18, notShown: 18 - 4 });
    expect(answer.data.regions).toEqual([
      { region: "eu-west-1", rows: 4 },
      { region: "us-east-1", rows: 5, shown: 0, more: true, notShown: 7 },
      { region: "us-west-2", rows: 2, shown: 0 },
    ]);
    let pages = 0;
    for (;;) {
      seen.push(...idsOf(answer));
      if (!answer.data.nextCursor || ++pages > 10) break;
      expect(answer.data.nextCursor.length).toBeLessThan(1_000);
      answer = await assistant.call("instances_list", { region: "*", limit: 5, cursor: answer.data.nextCursor });
      expect(answer.isError, JSON.stringify(answer.data)).toBe(false);
      // What follows says nothing of the whole, rather than something wrong.
      expect(answer.data.count).toBeUndefined();
      expect(answer.data.inService).toBeUndefined();
    }
    expect(seen).toHaveLength(18);
    expect([...seen].sort()).toEqual(Object.values(made).flat().sort());
    const other = await assistant.call("instances_list", { region: "*", limit: 5, cursor: "made-up" });
    expect(other.data).toMatchObject({ code: "invalid_cursor", field: "cursor" });
  });

  it("names the regions it was denied, and takes nothing there for gone", async () => {
    const before = await assistant.call("instances_list", { region: "*" });
    const denied = {
      where: ({ region }: { region: string }) => region === "us-west-2",
      operation: "DescribeInstances",
    };
    proxy.rule({
      ...denied,
      answer: { status: 403, code: "UnauthorizedOperation", message: "You are not authorized." },
    });
    const partial = await assistant.call("instances_list", { region: "*" });
    expect(partial.isError).toBe(false);
    expect(partial.data.inService).toBe(16);
    expect(partial.data.failedRegions).toEqual([
      { region: "us-west-2", code: "access_denied", message: expect.stringContaining("DescribeInstances") },
    ]);
    expect(partial.data.emptyRegions).not.toContain("us-west-2");
    expect(partial.data.staleNotices).toBeUndefined();
    expect(before.data.inService).toBe(18);
  });

  it("is refused as a whole where no region could be read", async () => {
    proxy.rule({
      operation: "DescribeSecurityGroups",
      times: Number.POSITIVE_INFINITY,
      answer: { status: 403, code: "UnauthorizedOperation", message: "You are not authorized." },
    });
    const refused = await assistant.call("securityGroups_list", { region: "*" });
    expect(refused.isError).toBe(true);
    expect(refused.data).toMatchObject({ code: "access_denied", region: "*" });
    expect(refused.data.failedRegions.length).toBeGreaterThan(10);
  });

  it("gives revisions that hold in their region: a plan there accepts them, and what somebody else does is noticed", async () => {
    const all = await assistant.call("instances_list", { region: "*", fields: ["tags"] });
    const west = all.data.instances.filter(({ region }: Row) => region === "us-west-2") as Row[];
    const [first, second] = west as [Row, Row];
    const planned = await assistant.call("instances_terminate", {
      instanceIds: [first.instanceId],
      basedOn: [first.revision],
      region: first.region,
      intent: "no longer needed",
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    await ec2In("us-west-2").send(
      new CreateTagsCommand({ Resources: [second.instanceId], Tags: [{ Key: "owner", Value: "somebody else" }] }),
    );
    const stale = await assistant.call("instances_terminate", {
      instanceIds: [second.instanceId],
      basedOn: [second.revision],
      region: second.region,
      intent: "no longer needed",
    });
    expect(stale.data.code).toBe("stale_revision");
    await ec2In("us-west-2").send(new TerminateInstancesCommand({ InstanceIds: [first.instanceId] }));
    const after = await assistant.call("instances_list", { region: "*" });
    const [notice] = after.data.staleNotices;
    expect(notice).toMatchObject({
      what: "instances_list",
      youSaw: { count: 2 },
      now: { count: 1, gone: [first.instanceId] },
      readAgainWith: { tool: "instances_list", arguments: { region: "us-west-2" } },
    });
  });

  it("lists what other lists hold: groups and resources of a type", async () => {
    await ec2In("us-east-1").send(new CreateSecurityGroupCommand({ GroupName: "only-here", Description: "one" }));
    const groups = await assistant.call("securityGroups_list", { region: "*", groupName: "only-here" });
    expect(groups.isError, JSON.stringify(groups.data)).toBe(false);
    expect(groups.data.securityGroups).toMatchObject([{ region: "us-east-1", groupName: "only-here" }]);
    const roles = await assistant.call("resources_list", { region: "*", type: "AWS::IAM::Role" });
    expect(roles.data.region).toBe("eu-west-1");
  });

  it("is for reads that declare it only, and says which field is wrong", async () => {
    for (const [tool, args] of [
      ["instances_get", { instanceId: "i-0123456789abcdef0" }],
      ["session_whoami", {}],
    ] as const) {
      const refused = await assistant.call(tool, { ...args, region: "*" });
      expect(refused.data, tool).toMatchObject({ code: "validation_error", field: "region" });
    }
    const plan = await assistant.call("instances_terminate", {
      instanceIds: ["i-0123456789abcdef0"],
      basedOn: ["r0-00000000"],
      region: "*",
      intent: "all of them",
    });
    expect(plan.data).toMatchObject({ code: "validation_error", field: "region" });
    expect(plan.data.message).toContain("planned in one region");
    expect(proxy.calls({ service: "ec2" })).toEqual([]);
  });

  it("lists deployments of all regions; one that denies is named, and never empty", async () => {
    for (const region of ["us-east-1", "us-west-2"]) {
      const { ecs } = abroad.get(region)!;
      await ecs.send(new CreateClusterCommand({ clusterName: "web" }));
      const containerDefinitions = [{ name: "api", image: "nginx:1", memory: 64 }];
      await ecs.send(new RegisterTaskDefinitionCommand({ family: "api", containerDefinitions }));
      await ecs.send(
        new CreateServiceCommand({ cluster: "web", serviceName: "api", taskDefinition: "api:1", desiredCount: 0 }),
      );
    }
    const all = await assistant.call("deployments_list", { region: "*" });
    expect(all.isError, JSON.stringify(all.data)).toBe(false);
    const rows = all.data.services.map((row: { region: string; service: string }) => [row.region, row.service]);
    expect(rows).toEqual([
      ["us-east-1", "web/api"],
      ["us-west-2", "web/api"],
    ]);
    proxy.rule({
      service: "ecs",
      operation: "ListClusters",
      where: (request) => JSON.stringify(request).includes("us-west-2"),
      answer: { status: 400, code: "AccessDeniedException" },
      times: 9,
    });
    const { data } = await assistant.call("deployments_list", { region: "*" });
    expect(data.services.map(({ region }: { region: string }) => region)).toEqual(["us-east-1"]);
    expect(data.emptyRegions).not.toContain("us-west-2");
    expect(JSON.stringify([data.failedRegions ?? [], data.regions])).toMatch(
      /us-west-2[^}]*access_denied|access_denied[^}]*us-west-2/,
    );
  });
});
