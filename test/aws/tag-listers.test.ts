// Listers of tag discovery against an AWS that answers in parts: what it hides is unknown, with the code of what hid it.

import { describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { taggedReads } from "../../src/aws/tagged/index.js";
import type { ResourceSchema } from "../../src/core/content.js";
import { OpsError } from "../../src/core/errors.js";
import { clock } from "./support.js";

const REGION = "eu-west-1";
const arn = (service: string, rest: string) => `arn:aws:${service}:${REGION}:123456789012:${rest}`;

type Answers = Readonly<Record<string, (input: never) => unknown>>;

/** @param answers what AWS answers, by `service:operation` */
function account(answers: Answers) {
  const api = {
    call: async (service: string, operation: string, input: never) => {
      const answer = answers[`${service}:${operation}`];
      if (!answer) throw new OpsError("unsupported", "not scripted", { details: { operation } });
      return answer(input);
    },
  } as unknown as Api;
  const reads = taggedReads({
    apiIn: () => api,
    identity: { account: "123456789012", arn: "arn:aws:iam::123456789012:user/ada", credentialSource: "test" },
    schema: async () => ({ tags: { property: "Tags", shape: "list" } }) as unknown as ResourceSchema,
    // A region is never given up here.
    clock: { ...clock, sleep: (_ms, signal) => new Promise((done) => signal?.addEventListener("abort", () => done())) },
  });
  const scan = async (type: string) => {
    const request = { regions: [REGION], concurrency: 1, timeoutMs: 1_000, globalTypes: new Set<string>() };
    const [region] = await reads.scan({ types: [type], ...request }, () => {});
    return region!;
  };
  const codeOf = (of: string) =>
    reads.get(of).then(
      (found) => (found === null ? "absent" : "found"),
      (error: OpsError) => error.code,
    );
  return { scan, get: reads.get, codeOf };
}

const refused = (code: "access_denied" | "throttled" | "unsupported", details = {}): never => {
  throw new OpsError(code, "refused", { details });
};
const resource = (properties: object) => ({ ResourceDescription: { Properties: JSON.stringify(properties) } });

describe("load balancers and target groups", () => {
  const group = arn("elasticloadbalancing", "targetgroup/web/0123456789abcdef");
  const listed = { "elbv2:DescribeTargetGroups": () => ({ TargetGroups: [{ TargetGroupArn: group }] }) };

  it("that the answer about tags leaves out are unknown, and not gone", async () => {
    const { scan, codeOf } = account({ ...listed, "elbv2:DescribeTags": () => ({ TagDescriptions: [] }) });
    expect(await scan("elasticloadbalancing:targetgroup")).toMatchObject({ resources: [], unread: [{ arn: group }] });
    expect(await codeOf(group)).toBe("aws_unavailable");
  });

  it("whose tags are refused say by what", async () => {
    for (const code of ["access_denied", "throttled"] as const) {
      const { scan, codeOf } = account({ ...listed, "elbv2:DescribeTags": () => refused(code) });
      expect(await scan("elasticloadbalancing:targetgroup")).toMatchObject({ unread: [{ arn: group, code }] });
      expect(await codeOf(group)).toBe(code);
    }
  });
});

describe("ECS", () => {
  const cluster = arn("ecs", "cluster/web");
  const service = arn("ecs", "service/web/api");

  it("is absent only where AWS says MISSING; any other failure is unknown", async () => {
    for (const [reason, code] of [
      ["MISSING", "absent"],
      ["ACCESS_DENIED", "aws_unavailable"],
    ] as const) {
      const { codeOf } = account({
        "ecs:DescribeClusters": () => ({ clusters: [], failures: [{ arn: cluster, reason }] }),
        "ecs:DescribeServices": () => ({ services: [], failures: [{ arn: service, reason }] }),
      });
      expect(await codeOf(cluster), reason).toBe(code);
      expect(await codeOf(service), reason).toBe(code);
    }
  });
});

describe("Cloud Control", () => {
  const table = (name: string) => arn("dynamodb", `table/${name}`);
  const tables = ["tagged", "silent", "indexed", "denied", "gone"];
  const answers: Answers = {
    "cloudcontrol:ListResources": ({ NextToken = "0" }: { NextToken?: string }) => ({
      ResourceDescriptions: [{ Identifier: tables[Number(NextToken)], Properties: "{}" }],
      ...(Number(NextToken) + 1 < tables.length && { NextToken: String(Number(NextToken) + 1) }),
    }),
    "cloudcontrol:GetResource": ({ Identifier }: { Identifier: string }) => {
      if (Identifier === "denied") return refused("access_denied", { action: "dynamodb:DescribeTable" });
      if (Identifier === "gone") {
        throw new OpsError("not_found", "gone", { details: { awsCode: "ResourceNotFoundException" } });
      }
      const Tags = Identifier === "tagged" ? { Tags: [{ Key: "Owner", Value: "web" }] } : {};
      return resource({ TableName: Identifier, Arn: table(Identifier), ...Tags });
    },
    "tagging:GetResources": () => ({
      ResourceTagMappingList: [{ ResourceARN: table("indexed"), Tags: [{ Key: "Owner", Value: "data" }] }],
    }),
  };

  it("is read on every page; what shows no tags is looked up in the index before it is called untagged", async () => {
    const found = await account(answers).scan("dynamodb:table");
    expect(Object.fromEntries(found.resources.map(({ id, tags }) => [id, tags]))).toEqual({
      tagged: { Owner: "web" },
      silent: {},
      indexed: { Owner: "data" },
    });
    expect(found.unread).toEqual([
      {
        type: "dynamodb:table",
        region: REGION,
        arn: table("denied"),
        code: "access_denied",
        action: "dynamodb:DescribeTable",
      },
    ]);
  });

  it("leaves unknown what neither the resource nor the index shows", async () => {
    const hidden = account({ ...answers, "tagging:GetResources": () => refused("access_denied") });
    const found = await hidden.scan("dynamodb:table");
    expect(found.resources.map(({ id }) => id)).toEqual(["tagged"]);
    expect(found.unread.map(({ arn: of }) => of).sort()).toEqual(["denied", "indexed", "silent"].map(table));
    expect(await hidden.codeOf(table("silent"))).toBe("access_denied");
    expect(await hidden.codeOf(table("denied"))).toBe("access_denied");
    expect(await hidden.codeOf(table("gone"))).toBe("absent");
  });

  it("that does not know a type leaves the index, and says that it lacks what was never tagged", async () => {
    const { scan } = account({ ...answers, "cloudcontrol:ListResources": () => refused("unsupported") });
    expect(await scan("dynamodb:table")).toMatchObject({
      resources: [{ id: "indexed", tags: { Owner: "data" } }],
      taggedOnly: ["dynamodb:table"],
    });
  });

  it("lists node groups under each of their clusters", async () => {
    const { scan } = account({
      "cloudcontrol:ListResources": ({ TypeName, ResourceModel }: { TypeName: string; ResourceModel?: string }) => ({
        ResourceDescriptions:
          TypeName === "AWS::EKS::Cluster"
            ? ["a", "b"].map((Identifier) => ({ Identifier, Properties: "{}" }))
            : [{ Identifier: `${JSON.parse(ResourceModel!).ClusterName}|web`, Properties: "{}" }],
      }),
      "cloudcontrol:GetResource": ({ Identifier }: { Identifier: string }) =>
        resource({
          Arn: arn("eks", `nodegroup/${Identifier.replace("|", "/")}/0123`),
          Tags: [{ Key: "Owner", Value: "k8s" }],
        }),
    });
    const { resources, unread } = await scan("eks:nodegroup");
    expect(unread).toEqual([]);
    expect(resources.map(({ arn: of }) => of)).toEqual([
      arn("eks", "nodegroup/a/web/0123"),
      arn("eks", "nodegroup/b/web/0123"),
    ]);
  });
});
