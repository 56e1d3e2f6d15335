// What the tools about instances and Auto Scaling refuse and warn of, in process: the sandbox, and what hangs on an instance as a test says.

import { afterEach, describe, expect, it } from "vitest";
import type { AutoScalingGroup } from "../../src/core/content/auto-scaling.js";
import type { Instance, InstanceDependants } from "../../src/core/content/instances.js";
import type { Known } from "../../src/core/known.js";
import type { Aws, AwsReader } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

const intent = "as the user asked";
const known = <T>(value: T): Known<T> => ({ known: true, value });
const denied = { known: false, because: "access_denied" } as const;

const GROUP: AutoScalingGroup = {
  groupName: "workers",
  desiredCapacity: 3,
  minSize: 1,
  maxSize: 6,
  inService: 3,
  instances: ["i-0aaaaaaaaaaaaaaa1", "i-0aaaaaaaaaaaaaaa2", "i-0aaaaaaaaaaaaaaa3"].map((instanceId) => ({
    instanceId,
    lifecycleState: "InService",
    healthStatus: "Healthy",
  })),
  suspendedProcesses: [],
  availabilityZones: ["eu-west-1a"],
  subnetIds: [],
  targetGroupArns: [],
  tags: {},
};

/** What differs from the sandbox. */
interface Bent {
  hanging?: Partial<InstanceDependants>;
  instance?: { [K in keyof Instance]?: Instance[K] | undefined };
  group: AutoScalingGroup;
  types?: Awaited<ReturnType<AwsReader["instances"]["types"]>>;
}

let bent: Bent;
let session: InMemory;
afterEach(() => session.close());

/** As the test says; what it says is undefined is not there. */
const otherwise = <T extends object>(found: T): T =>
  Object.fromEntries(Object.entries({ ...found, ...bent.instance }).filter(([, value]) => value !== undefined)) as T;

const reader = (real: AwsReader): AwsReader => ({
  ...real,
  instances: {
    ...real.instances,
    dependants: async (instances) => {
      const all = await real.instances.dependants(instances);
      return new Map([...all].map(([id, hanging]) => [id, { ...hanging, ...NOTHING, ...bent.hanging }]));
    },
    types: async (names) => bent.types ?? real.instances.types(names),
  },
  get: (async (type: string, id: string) => {
    if (type === "AWS::AutoScaling::AutoScalingGroup") return id === bent.group.groupName ? bent.group : null;
    const found = await real.get(type as "AWS::EC2::Instance", id);
    return type === "AWS::EC2::Instance" && found ? otherwise(found) : found;
  }) as AwsReader["get"],
  content: async (ref, by) => {
    if (ref.type === "AWS::AutoScaling::AutoScalingGroup") return bent.group as never;
    const found = await real.content(ref, by);
    return ref.type === "AWS::EC2::Instance" && found ? otherwise(found) : found;
  },
  scaling: { ...real.scaling, recent: async () => known([]) },
});

const NOTHING: Partial<InstanceDependants> = {
  volumes: [],
  terminationProtection: known(false),
  stopProtection: known(false),
  elasticIps: known([]),
  autoScaling: known(null),
  targetGroups: known({ registered: [], notAsked: 0 }),
  instanceStore: known(false),
};

async function start(what: Partial<Bent> = {}): Promise<void> {
  bent = { group: GROUP, ...what };
  const wrap = (aws: Aws): Aws => ({ ...aws, reader: async (...where) => reader(await aws.reader(...where)) });
  session = await inMemory({ args: ["--toolsets", "all"], wrap });
}

const ID = "i-0aa00000000000001";
const revisionOf = async (instanceId = ID) => (await session.call("instances_get", { instanceId })).revision as string;
const plan = async (verb: string, more: Record<string, unknown> = {}) => {
  const one = verb === "resize";
  // Whoever gives a revision was shown that and nothing more.
  const basedOn = more.basedOn ?? (one ? await revisionOf() : [await revisionOf()]);
  const which = one ? { instanceId: ID, instanceType: "t3.large" } : { instanceIds: [ID] };
  return session.call(`instances_${verb}`, { ...which, intent, ...more, basedOn });
};
const warningsOf = async (verb: string, what: Partial<Bent>): Promise<string> => {
  await start(what);
  const planned = await plan(verb);
  expect(planned.planned, JSON.stringify(planned)).toBe(true);
  return planned.change.warnings.join("\n");
};
const membership = (lifecycleState: string) =>
  known({ groupName: "api", lifecycleState, healthStatus: "Healthy", protectedFromScaleIn: false });
const registered = (state: string) =>
  known({ registered: [{ targetGroup: "web", targetGroupArn: "arn:web", state, port: 80 }], notAsked: 0 }) as never;

describe("an instance", () => {
  it.each(["stop", "resize"])("with stop protection is not planned to %s", async (verb) => {
    await start({ hanging: { stopProtection: known(true) } });
    expect(await plan(verb)).toMatchObject({ code: "unsupported", protection: "stop" });
    expect(await plan("terminate")).toMatchObject({ planned: true });
  });

  it("with termination protection is not planned to terminate, and may be stopped", async () => {
    await start({ hanging: { terminationProtection: known(true) } });
    expect(await plan("terminate")).toMatchObject({ code: "unsupported", protection: "terminate" });
    expect(await plan("stop")).toMatchObject({ planned: true });
  });

  it.each(["stop", "resize"])("on an instance store is not planned to %s: AWS could only end it", async (verb) => {
    await start({ instance: { rootDevice: "instance-store" } });
    expect(await plan(verb)).toMatchObject({ code: "unsupported", rootDevice: "instance-store" });
    expect(await plan("terminate")).toMatchObject({ planned: true });
  });

  it("that is stopped is resized by one call, and its protection from stops is no matter", async () => {
    await start({ instance: { state: "stopped" }, hanging: { stopProtection: known(true) } });
    const planned = await plan("resize");
    expect(planned.change.steps.map(({ call }: { call: string }) => call)).toEqual(["ec2.ModifyInstanceAttribute"]);
  });

  it.each([
    ["start", "running", "nothing_to_change"],
    ["start", "pending", "nothing_to_change"],
    ["start", "stopping", "unsupported"],
    ["stop", "stopping", "nothing_to_change"],
    ["stop", "pending", "unsupported"],
    ["reboot", "stopped", "unsupported"],
    ["terminate", "shutting-down", "nothing_to_change"],
    ["resize", "pending", "unsupported"],
    ["resize", "stopping", "unsupported"],
  ])("is not planned to %s while it is %s", async (verb, state, code) => {
    await start({ instance: { state } });
    expect(await plan(verb)).toMatchObject({ code, state, nothingWasChanged: true });
  });

  it("whose new type nobody could check is planned, and that is said", async () => {
    const warnings = await warningsOf("resize", { types: denied });
    expect(warnings).toContain("t3.large suits this instance could not be checked (access_denied)");
  });

  it.each([
    ["stop", { instanceStore: known(true) }, "instance-store disks"],
    ["stop", { autoScaling: membership("InService") }, "takes a stopped member for unhealthy"],
    ["stop", { autoScaling: denied }, "takes a stopped member for unhealthy"],
    ["stop", { stopProtection: denied }, "stopProtection could not be read"],
    ["stop", {}, "loses its public address"],
    ["stop", { targetGroups: registered("healthy") }, "takes traffic in 1 target group"],
    ["stop", { targetGroups: known({ registered: [], notAsked: 7 }) }, "7 target groups were not asked"],
    ["reboot", { targetGroups: registered("healthy") }, "takes traffic in 1 target group"],
    ["resize", { instanceStore: known(true) }, "instance-store disks"],
    ["resize", {}, "out of service from its stop"],
    ["terminate", { elasticIps: known(["198.51.100.1"]) }, "holds 1 elastic IP(s), which stay and cost"],
    ["terminate", { volumes: [{ volumeId: "vol-1", deleteOnTermination: true }] }, "1 volume(s) of"],
    ["terminate", { volumes: [{ volumeId: "vol-1", deleteOnTermination: false }] }, "stay behind and cost"],
    ["terminate", { terminationProtection: denied }, "terminationProtection could not be read"],
    ["terminate", { autoScaling: membership("InService") }, "which will launch another one in its place"],
  ] as [string, Partial<InstanceDependants>, string][])(
    "planned to %s with %j is warned of",
    async (verb, hanging, words) => {
      expect(await warningsOf(verb, { hanging })).toContain(words);
    },
  );

  it("belongs to a group by AWS's word or by the tag of its members, whichever can be read", async () => {
    const words = "which will launch another one in its place";
    const byWord = { hanging: { autoScaling: membership("InService") }, instance: { autoScalingGroup: undefined } };
    expect(await warningsOf("terminate", byWord)).toContain(words);
    await session.close();
    expect(await warningsOf("terminate", { hanging: { autoScaling: denied } })).toContain(words);
    await session.close();
    expect(await warningsOf("terminate", { instance: { autoScalingGroup: undefined } })).not.toContain(words);
  });

  it("that a stack has taken in between plan and apply is not resized, and may be stopped", async () => {
    await start();
    const [resize, stop] = [await plan("resize"), await plan("stop")];
    bent.instance = { tags: { Name: "api-1", "aws:cloudformation:stack-name": "web" } };
    const apply = ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken });
    expect(await apply(resize)).toMatchObject({ code: "stack_owned", nothingWasChanged: true });
    bent.instance = { ...bent.instance };
    expect(await apply(stop)).toMatchObject({ outcome: "applied" });
  });

  it("that is a spot instance is said to come back", async () => {
    expect(await warningsOf("terminate", { instance: { lifecycle: "spot" } })).toContain("spot instance");
  });

  it.each([
    [{ autoScaling: membership("Standby") }, "unhealthy"],
    [{ elasticIps: known(["203.0.113.11"]) }, "loses its public address"],
    [{ targetGroups: registered("unused") }, "takes traffic"],
  ] as [Partial<InstanceDependants>, string][])(
    "with %j is not warned of what does not hold",
    async (hanging, words) => {
      expect(await warningsOf("stop", { hanging })).not.toContain(words);
    },
  );

  it("named twice is planned once", async () => {
    await start();
    const planned = await plan("stop", { instanceIds: [ID, ID] });
    expect(planned.change.steps).toHaveLength(1);
  });
});

describe("a row of a list", () => {
  const row = async (fields?: string[]) => {
    const { instances } = await session.call("instances_list", { instanceIds: [ID], ...(fields && { fields }) });
    return instances[0].revision as string;
  };
  const tag = (value: string) =>
    session.edit(({ instances }) => {
      instances[ID]!.tags.owner = value;
    });

  it("stands for what it showed: what it did not show may differ, what it showed may not", async () => {
    await start();
    const compact = await row();
    await tag("somebody");
    expect(await plan("stop", { basedOn: [compact] })).toMatchObject({ planned: true });
    const wide = await row(["tags"]);
    await tag("somebody else");
    const refused = await plan("stop", { basedOn: [wide] });
    expect(refused).toMatchObject({ code: "stale_revision" });
    expect(refused.changed[0].path).toBe("/tags/owner");
  });

  it("planned to terminate is refused for whatever changed between plan and apply", async () => {
    await start();
    const planned = await plan("terminate", { basedOn: [await row()] });
    await tag("somebody");
    expect(await session.call("changes_apply", { executionToken: planned.executionToken })).toMatchObject({
      code: "stale_revision",
    });
  });

  it("planned to stop is refused where the name by which it was chosen has changed", async () => {
    await start();
    const compact = await row();
    await session.edit(({ instances }) => {
      instances[ID]!.tags.Name = "database";
    });
    expect(await plan("stop", { basedOn: [compact] })).toMatchObject({ code: "stale_revision" });
  });

  it("is needed of every instance of a plan", async () => {
    await start();
    const both = { instanceIds: [ID, "i-0aa00000000000002"], basedOn: [await row()] };
    expect(await plan("terminate", both)).toMatchObject({ code: "precondition_required", field: "basedOn" });
  });
});

describe("an Auto Scaling group", () => {
  const set = async (desiredCapacity: number, more: Record<string, unknown> = {}) => {
    const { revision } = await session.call("autoscaling_get", { groupName: "workers" });
    const given = { groupName: "workers", desiredCapacity, basedOn: revision, intent, ...more };
    return session.call("autoscaling_setCapacity", given);
  };
  const apply = ({ executionToken }: { executionToken: string }) => session.call("changes_apply", { executionToken });
  const warned = async (group: Partial<AutoScalingGroup>, wanted: number): Promise<string> => {
    await start({ group: { ...GROUP, ...group } });
    const planned = await set(wanted);
    expect(planned.planned, JSON.stringify(planned)).toBe(true);
    return planned.change.warnings.join("\n");
  };

  it("that is being deleted gets no capacity", async () => {
    await start({ group: { ...GROUP, status: "Delete in progress" } });
    expect(await set(4)).toMatchObject({ code: "unsupported", field: "groupName" });
  });

  it.each([0, 7])("gets none outside its limits (%i)", async (wanted) => {
    await start();
    expect(await set(wanted)).toMatchObject({ code: "validation_error", field: "desiredCapacity" });
  });

  it.each([1, 6])("may be brought to its limits (%i)", async (wanted) => {
    await start();
    expect(await set(wanted)).toMatchObject({ planned: true });
  });

  it("that has it already is left alone, if it was seen so", async () => {
    await start();
    const { revision } = await session.call("autoscaling_get", { groupName: "workers" });
    expect(await set(3)).toMatchObject({ code: "nothing_to_change" });
    bent.group = { ...GROUP, desiredCapacity: 4 };
    expect(await set(4, { basedOn: revision })).toMatchObject({ code: "stale_revision" });
  });

  it.each(["desiredCapacity", "minSize", "maxSize"] as const)(
    "scaled by somebody else between plan and apply (%s) is refused",
    async (what) => {
      await start();
      const planned = await set(5);
      bent.group = { ...GROUP, [what]: GROUP[what] + 1 };
      const refused = await apply(planned);
      expect(refused).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
      expect(refused.changed[0].path).toBe(`/${what}`);
    },
  );

  it("that is being deleted by the time of the apply is refused", async () => {
    await start();
    const planned = await set(5);
    bent.group = { ...GROUP, status: "Delete in progress" };
    const refused = await apply(planned);
    expect(refused).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.changed[0].path).toBe("/status");
  });

  it("whose members alone have changed since is no reason to refuse a plan", async () => {
    await start();
    const { revision } = await session.call("autoscaling_get", { groupName: "workers" });
    bent.group = { ...GROUP, inService: 2, instances: GROUP.instances.slice(1) };
    expect(await set(5, { basedOn: revision })).toMatchObject({ planned: true });
  });

  it("says what a smaller number takes away, and which members stay", async () => {
    const shielded = GROUP.instances.map((one, index) => ({ ...one, protectedFromScaleIn: index === 0 }));
    const warnings = await warned({ instances: shielded }, 1);
    expect(warnings).toContain("2 instance(s) are terminated");
    expect(warnings).toContain("1 member(s) are protected from scale-in");
    await session.close();
    expect(await warned({}, 1)).not.toContain("protected");
    await session.close();
    expect(await warned({ instances: shielded }, 4)).not.toMatch(/terminated|protected/);
  });

  it.each([
    ["Launch", 5, 2],
    ["Terminate", 2, 5],
  ])("with %s suspended says that the number alone changes nothing, that way alone", async (process, that, other) => {
    expect(await warned({ suspendedProcesses: [process] }, that)).toContain(`process ${process} of this group`);
    await session.close();
    expect(await warned({ suspendedProcesses: [process] }, other)).not.toContain("suspended");
  });

  it("of a stack may be scaled, and the plan says what the stack will do", async () => {
    const tags = { "aws:cloudformation:stack-name": "web", "aws:cloudformation:stack-id": "arn:aws:x" };
    expect(await warned({ tags }, 5)).toContain("CloudFormation stack owns this group");
    await session.close();
    expect(await warned({}, 5)).not.toContain("CloudFormation");
  });
});
