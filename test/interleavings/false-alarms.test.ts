// Nothing changed, and AWS lists it in another order each time: no new revision, no notice, no drift, no refusal.

import { afterEach, describe, expect, it } from "vitest";
import type { Transport } from "../../src/aws/api.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { account, type InProcessAccount } from "./account.js";
import { ARGS } from "./stage.js";

const READS = 1_000;
const ROLE = { type: "AWS::IAM::Role", identifier: "app" };
const LOG = { type: "AWS::Logs::LogGroup", identifier: "/app/api" };
const BUCKET = { type: "AWS::S3::Bucket", identifier: "assets" };
/** By AWS's schemas: where the order of a list means nothing. Any other list stays as it is. */
const UNORDERED = /^\/(Tags|ManagedPolicyArns|Policies)$|\/(Statement|Action|Resource)$/;

const policy = (...buckets: string[]) => ({
  Version: "2012-10-17",
  Statement: buckets.map((name) => ({
    Effect: "Allow",
    Action: ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
    Resource: [`arn:aws:s3:::${name}`, `arn:aws:s3:::${name}/*`],
  })),
});

function shuffler() {
  let state = 1;
  const shuffled = <T>(items: readonly T[]): T[] => {
    const left = [...items];
    return items.map(() => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return left.splice(state % left.length, 1)[0]!;
    });
  };
  /** Members of objects, and the lists a path allows. */
  const turn = (value: unknown, mayTurn: (path: string) => boolean, path = ""): unknown => {
    if (Array.isArray(value)) {
      const items = value.map((item) => turn(item, mayTurn, path));
      return mayTurn(path) ? shuffled(items) : items;
    }
    if (typeof value === "string" && value.startsWith('{"Version"')) {
      return JSON.stringify(turn(JSON.parse(value), mayTurn, path), null, state % 3);
    }
    if (typeof value !== "object" || value === null || value instanceof Date) return value;
    return Object.fromEntries(
      shuffled(Object.entries(value)).map(([key, member]) => [key, turn(member, mayTurn, `${path}/${key}`)]),
    );
  };
  return (transport: Transport): Transport =>
    async (call) => {
      const answer = await transport(call);
      if (call.service === "ec2" && call.operation.startsWith("Describe")) return turn(answer, () => true);
      if (call.operation === "ListResources") return turn(answer, (path) => path === "/ResourceDescriptions");
      if (call.operation !== "GetResource") return answer;
      const { ResourceDescription, ...rest } = answer as { ResourceDescription: { Properties: string } };
      const properties = turn(JSON.parse(ResourceDescription.Properties), (path) => UNORDERED.test(path));
      return { ...rest, ResourceDescription: { ...ResourceDescription, Properties: JSON.stringify(properties) } };
    };
}

let session: InMemory;
let place: InProcessAccount;
afterEach(() => session.close());

async function start(): Promise<void> {
  place = account({ before: () => {}, after: () => {} }, shuffler());
  const Tags = ["a", "b", "c"].map((Key) => ({ Key, Value: Key }));
  place.control.put(ROLE.type, ROLE.identifier, {
    AssumeRolePolicyDocument: policy("one", "two") as never,
    ManagedPolicyArns: ["ReadOnly", "Billing", "Support"].map((name) => `arn:aws:iam::aws:policy/${name}`),
    Policies: ["x", "y"].map((PolicyName) => ({ PolicyName, PolicyDocument: policy(PolicyName, "z") as never })),
    Tags,
  });
  place.control.put(LOG.type, LOG.identifier, {
    ResourcePolicyDocument: JSON.stringify(policy("logs", "more")),
    RetentionInDays: 7,
    Tags,
  });
  for (const name of [BUCKET.identifier, "logs", "media"]) place.control.put(BUCKET.type, name, { Tags });
  place.edit((region) => {
    for (const port of [80, 443, 8080]) {
      const id = `sgr-0cc${String(port).padStart(14, "0")}`;
      const rule = Object.values(region.rules)[0]!;
      region.rules[id] = { ...rule, id, fromPort: port, toPort: port, peer: "10.0.0.0/8" };
    }
  });
  session = await inMemory({ args: ARGS, wrap: () => place.aws });
}

const reads: [string, string, Record<string, unknown>][] = [
  ["a security group", "securityGroups_get", { groupId: "sg-0bb00000000000001" }],
  ["the list of groups", "securityGroups_list", {}],
  ["an instance", "instances_get", { instanceId: "i-0aa00000000000001" }],
  ["the list of instances", "instances_list", {}],
  ["a role with its policies", "resources_get", ROLE],
  ["a log group with a policy as text", "resources_get", LOG],
  ["a bucket with tags", "resources_get", BUCKET],
  ["the list of buckets", "resources_list", { type: BUCKET.type }],
];

// biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
const revisionsOf = (answer: any): string[] =>
  [answer.revision, ...[...(answer.securityGroups ?? []), ...(answer.instances ?? [])].map((row) => row.revision)]
    .filter((one) => one !== undefined)
    .sort();

describe(`${READS} reads of what nobody changed`, () => {
  it.each(reads)("%s: one revision, and no notice", { timeout: 120_000 }, async (_what, tool, args) => {
    await start();
    const first = revisionsOf(await session.call(tool, args));
    expect(first.length > 0, "rows of any type prove nothing").toBe(tool !== "resources_list");
    const orders = new Set<string>();
    for (let read = 0; read < READS; read++) {
      const answer = await session.call(tool, args);
      expect(answer.staleNotices, JSON.stringify(answer.staleNotices)).toBeUndefined();
      expect(revisionsOf(answer)).toEqual(first);
      orders.add(JSON.stringify(answer.properties ?? answer.resources ?? null));
    }
    if (tool.startsWith("resources_")) expect(orders.size, "AWS did list it in other orders").toBeGreaterThan(2);
  });

  it("is no drift of what is managed, and no reason to refuse a plan or its apply", { timeout: 120_000 }, async () => {
    await start();
    for (const [of, properties] of [
      [ROLE, { MaxSessionDuration: 7200 }],
      [LOG, { RetentionInDays: 14 }],
      [BUCKET, { VersioningConfiguration: { Status: "Enabled" } }],
    ] as const) {
      const { revision } = await session.call("resources_get", of);
      await session.call("resources_get", of);
      const planned = await session.call("resources_update", {
        ...of,
        properties,
        basedOn: revision,
        intent: "set it",
      });
      expect(planned.planned, JSON.stringify(planned)).toBe(true);
      const applied = await session.call("changes_apply", { executionToken: planned.executionToken });
      expect(applied.outcome, JSON.stringify(applied)).toBe("applied");
    }
    for (let check = 0; check < 50; check++) {
      const { resources } = await session.call("state_drift", {});
      expect(resources).toHaveLength(3);
      for (const one of resources) expect(one.status, JSON.stringify(one)).toBe("IN_SYNC");
    }
  });
});
