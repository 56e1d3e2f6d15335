// Tag discovery by the services' own lists on moto: RDS, ECS and Elastic Load Balancing, on every page, tagged and never tagged.

import { DescribeVpcsCommand } from "@aws-sdk/client-ec2";
import { CreateClusterCommand, CreateServiceCommand, RegisterTaskDefinitionCommand } from "@aws-sdk/client-ecs";
import { CreateTargetGroupCommand } from "@aws-sdk/client-elastic-load-balancing-v2";
import { CreateDBClusterCommand, CreateDBInstanceCommand } from "@aws-sdk/client-rds";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("tag listers on moto", import.meta.url);
const GROUPS = 23;
const SERVICES = 12;
const Tags = [{ Key: "Owner", Value: "web" }];
const tags = [{ key: "Owner", value: "web" }];
const master = { MasterUsername: "admin", MasterUserPassword: "outsider-knows-it" };

describe.skipIf(!product)("tag listers on moto", () => {
  const { proxy, outsider, ledger, calls } = (product ?? {}) as Product;
  let assistant: Assistant;

  /** All of the type: no resource here bears what the policy requires. */
  const lacking = async (type: string) => {
    const found = await assistant.call("tags_untagged", { resource_types: [type], force_refresh: true, limit: 100 });
    expect(found.isError, JSON.stringify(found.data)).toBe(false);
    return found.data as {
      resources: { arn: string; current_tags: Record<string, string> }[];
      data_quality: { status: string; unknown?: { arn: string; code: string }[] };
    };
  };
  const owned = ({ resources }: Awaited<ReturnType<typeof lacking>>) =>
    resources.filter(({ current_tags }) => current_tags.Owner === "web").length;

  beforeAll(async () => {
    await product!.moto.reset();
    const { rds, ecs, balancing } = outsider;
    const database = { DBInstanceClass: "db.t3.micro", Engine: "postgres", AllocatedStorage: 20, ...master };
    await rds.send(new CreateDBInstanceCommand({ DBInstanceIdentifier: "owned", ...database, Tags }));
    await rds.send(new CreateDBInstanceCommand({ DBInstanceIdentifier: "bare", ...database }));
    await rds.send(new CreateDBClusterCommand({ DBClusterIdentifier: "bare", Engine: "aurora-postgresql", ...master }));
    await ecs.send(new CreateClusterCommand({ clusterName: "web", tags }));
    const containerDefinitions = [{ name: "api", image: "nginx:1", memory: 64 }];
    await ecs.send(new RegisterTaskDefinitionCommand({ family: "api", containerDefinitions, tags }));
    for (let n = 0; n < SERVICES; n++) {
      const service = { cluster: "web", serviceName: `api-${n}`, taskDefinition: "api:1", desiredCount: 0 };
      await ecs.send(new CreateServiceCommand({ ...service, ...(n === 0 && { tags }) }));
    }
    const { Vpcs = [] } = await outsider.ec2.send(new DescribeVpcsCommand({}));
    for (let n = 0; n < GROUPS; n++) {
      const group = { Name: `web-${n}`, Protocol: "HTTP", Port: 80, VpcId: Vpcs[0]!.VpcId! } as const;
      await balancing.send(new CreateTargetGroupCommand({ ...group, ...(n === 0 && { Tags }) }));
    }
    assistant = await product!.start({ env: { ALLOWED_REGIONS: "eu-west-1" } });
  }, 60_000);
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("lists databases and clusters with the tags in their descriptions", async () => {
    const instances = await lacking("rds:db");
    expect(instances.resources.map(({ arn }) => arn.split(":").at(-1))).toEqual(["owned", "bare"]);
    expect(owned(instances)).toBe(1);
    expect((await lacking("rds:cluster")).resources).toHaveLength(1);
  });

  it("lists ECS clusters, task definitions, and services ten at a time", async () => {
    expect(owned(await lacking("ecs:cluster"))).toBe(1);
    expect(owned(await lacking("ecs:task-definition"))).toBe(1);
    const services = await lacking("ecs:service");
    expect(owned(services)).toBe(1);
    // moto leaves the tags of what never bore any out of its description, where AWS shows an empty list: not known, then.
    expect(services.resources.length + (services.data_quality.unknown?.length ?? 0)).toBe(SERVICES);
    expect(calls("ecs", "DescribeServices").length).toBe(2);
  });

  it("asks for the tags of target groups twenty at a time; a refused question leaves those unknown, not untagged", async () => {
    const all = await lacking("elasticloadbalancing:targetgroup");
    expect([all.resources.length, owned(all)]).toEqual([GROUPS, 1]);
    expect(calls("elasticloadbalancing", "DescribeTags").length).toBe(2);
    proxy.rule({ operation: "DescribeTags", answer: { status: 403, code: "AccessDenied" } });
    const some = await lacking("elasticloadbalancing:targetgroup");
    const unknown = some.data_quality.unknown ?? [];
    expect([3, 20]).toContain(unknown.length);
    expect(some.resources.length + unknown.length).toBe(GROUPS);
    expect(new Set(unknown.map(({ code }) => code))).toEqual(new Set(["access_denied"]));
    const [hidden] = unknown;
    proxy.rule({ operation: "DescribeTags", answer: { status: 403, code: "AccessDenied" } });
    const validated = await assistant.call("tags_validate", { resource_arns: [hidden!.arn] });
    expect(validated.data).toMatchObject({
      results: [],
      not_found: [],
      unknown: [{ resource_arn: hidden!.arn, code: "access_denied" }],
    });
  });
});
