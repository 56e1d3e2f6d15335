// Load balancers in process: what could not be read is named and never "none", and a question is about one thing.

import { afterEach, describe, expect, it } from "vitest";
import type { Known } from "../../src/core/known.js";
import type { Aws, AwsReader } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const known = <T>(value: T): Known<T> => ({ known: true, value });
const denied = { known: false, because: "access_denied", action: "elasticloadbalancing:Describe" } as const;
const ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";
const BALANCER = { loadBalancerArn: `${ARN}:loadbalancer/app/front/1`, name: "front", type: "application" };
const HEAD = { targetGroupArn: `${ARN}:targetgroup/web/1`, name: "web", targetType: "instance", loadBalancerArns: [] };
const TARGETS = ["healthy", "draining", "unhealthy"].map((state, index) => ({
  targetId: `i-${index}`,
  port: 80,
  state,
}));

type Balancing = AwsReader["balancing"];
let session: InMemory;
afterEach(() => session.close());

async function start(more: Partial<Balancing> = {}, items: readonly object[] = [BALANCER]): Promise<void> {
  const balancing = {
    listeners: async () => known([]),
    targetGroups: async () => known([HEAD]),
    health: async () => known(TARGETS),
    ...more,
  } as unknown as Balancing;
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    reader: async (...where) => ({
      ...(await aws.reader(...where)),
      balancing,
      list: (async () => ({ items })) as unknown as AwsReader["list"],
      get: (async (_: string, id: string) =>
        id === HEAD.targetGroupArn ? { ...HEAD, targets: TARGETS } : null) as unknown as AwsReader["get"],
    }),
  });
  session = await inMemory({ args: ["--toolsets", "all"], wrap });
}
const list = (given = {}) => session.call("loadBalancers_list", given);
const health = (given = {}) => session.call("loadBalancers_targetHealth", given);

describe("load balancers", () => {
  it.each([
    ["listeners", { listeners: async () => denied }, "listeners"],
    ["targetGroups", { targetGroups: async () => denied }, "targetGroups"],
    ["targetHealth", { health: async () => denied }, undefined],
  ] as [string, Partial<Balancing>, string | undefined][])(
    "whose %s are denied are shown without, and that is said once",
    async (what, more, member) => {
      await start(more, [BALANCER, { ...BALANCER, loadBalancerArn: `${ARN}:loadbalancer/app/back/2`, name: "back" }]);
      const { unknown, loadBalancers } = await list({ health: true });
      expect(unknown).toMatchObject([{ what, code: "access_denied" }]);
      expect(unknown).toHaveLength(1);
      if (member) expect(loadBalancers[0]).not.toHaveProperty(member);
      else expect(loadBalancers[0].targetGroups[0]).not.toHaveProperty("targets");
    },
  );

  it("have their targets counted only where that is asked for", async () => {
    let asked = 0;
    await start({
      health: async () => {
        asked++;
        return known(TARGETS) as never;
      },
    });
    expect((await list()).loadBalancers[0].targetGroups[0]).not.toHaveProperty("targets");
    expect(asked).toBe(0);
    expect((await list({ health: true })).loadBalancers[0].targetGroups[0].targets).toMatchObject({ healthy: 1 });
    expect(asked).toBe(1);
  });

  it("asked for by name that are not there are not found, and none at all is an empty list", async () => {
    await start({}, []);
    expect(await list({ names: ["gone"] })).toMatchObject({ code: "not_found", field: "names" });
    expect(await list()).toMatchObject({ count: 0, loadBalancers: [] });
  });
});

describe("the health of targets", () => {
  it("is asked of one group or one load balancer", async () => {
    await start();
    for (const given of [{}, { targetGroupName: "web", loadBalancerArn: BALANCER.loadBalancerArn }]) {
      expect(await health(given)).toMatchObject({ code: "validation_error", field: "targetGroupArn" });
    }
  });

  it("that nobody may read is an error, never an empty answer", async () => {
    await start({ targetGroups: async () => denied });
    expect(await health({ targetGroupName: "web" })).toMatchObject({ isError: true, code: "access_denied" });
  });

  it("of a group that is not there is not found", async () => {
    await start({ targetGroups: async () => known([]) });
    expect(await health({ targetGroupName: "gone" })).toMatchObject({ code: "not_found", field: "targetGroupName" });
    expect(await health({ targetGroupArn: `${ARN}:targetgroup/gone/1` })).toMatchObject({ code: "not_found" });
  });

  it("shows the worst first, counts all of them whatever is asked for, and says how many are left out", async () => {
    await start();
    const [group] = (await health({ targetGroupName: "web", limit: 1 })).targetGroups;
    expect(group).toMatchObject({
      byState: { healthy: 1, draining: 1, unhealthy: 1 },
      targets: [{ state: "unhealthy" }],
      targetsNotShown: 2,
    });
    const [healthy] = (await health({ targetGroupName: "web", states: ["healthy"] })).targetGroups;
    expect(healthy.targets).toHaveLength(1);
    expect(healthy.byState).toEqual({ healthy: 1, draining: 1, unhealthy: 1 });
  });
});
