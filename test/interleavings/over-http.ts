// The same stage over HTTP: EC2 and RDS from moto, every other type from the scripted Cloud Control, by the real SDK. A proxy between
// them shows each call before it is forwarded and after it was answered.

import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  CreateTagsCommand,
  DeleteTagsCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeSecurityGroupsCommand,
  type Instance,
  ModifySecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
  RunInstancesCommand,
  type SecurityGroupRule,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";
import {
  AddTagsToResourceCommand,
  CreateDBInstanceCommand,
  type DBInstance,
  DescribeDBInstancesCommand,
  ModifyDBInstanceCommand,
  RemoveTagsFromResourceCommand,
} from "@aws-sdk/client-rds";
import { vi } from "vitest";
import type { Service } from "../../src/aws/api.js";
import { createAws } from "../../src/aws/index.js";
import type { Aws, Clock } from "../../src/core/ports.js";
import { startCloudControl } from "../cloud-control/server.js";
import { clientsFor, emulatedEnvironment } from "../emulated/clients.js";
import { describeType } from "../emulated/describe-type.js";
import { scriptedTrail } from "../emulated/lookup-events.js";
import { motoFor } from "../emulated/moto.js";
import { startProxy } from "../emulated/proxy.js";
import { startScriptedHttp } from "../emulated/scripted-http.js";
import { announced } from "../emulated/scripted-rds.js";
import type { AwsRequest } from "../emulated/wire.js";
import { inMemory } from "../in-memory.js";
import type { Move } from "./schedule.js";
import {
  ARGS,
  arrivingOf,
  type Elements,
  editResource,
  makeResource,
  PEERS,
  propertyElements,
  type Stage,
  type StageWatcher,
  TAG_KEYS,
  type Touch,
  TYPES,
} from "./stage.js";

const REGION = "eu-west-1";

export interface StageOptions {
  /** False: the schedule knows of nothing but Cloud Control, and nobody looks at moto. */
  readonly ec2?: boolean;
  /** How a broken product is played. */
  readonly wrap?: (aws: Aws, doing: StageWatcher["doing"], ids: Stage["ids"]) => Aws;
}

export interface HttpPlace {
  /** A server on a group and two instances of its own. */
  stage(watch: StageWatcher, options?: StageOptions): Promise<Stage>;
  /** Requests that reached the proxy: all, or those of an operation. */
  readonly requests: (operation?: string) => number;
  close(): Promise<void>;
}

/** `undefined` after one loud line where the emulator is missing. */
export async function httpPlace(suite: string): Promise<HttpPlace | undefined> {
  const moto = await motoFor(suite);
  if (!moto) return undefined;
  // The product's clock is that of the stage being played.
  let current: Clock = { now: () => new Date(0), monotonic: () => 0, sleep: async () => {} };
  const clock: Clock = {
    now: () => current.now(),
    monotonic: () => current.monotonic(),
    sleep: (milliseconds, signal) => current.sleep(milliseconds, signal),
  };
  const cloudControl = await startCloudControl({ region: REGION, now: () => clock.now().getTime() });
  const registry = await startScriptedHttp(describeType);
  const trail = scriptedTrail();
  const cloudTrail = await startScriptedHttp((request) => trail.answer(request));
  const proxy = await startProxy(moto.endpoint, {
    routes: {
      cloudcontrolapi: cloudControl.endpoint,
      cloudformation: registry.endpoint,
      cloudtrail: cloudTrail.endpoint,
    },
  });
  const somebody = clientsFor(moto.endpoint, { region: REGION });
  const { ec2, rds } = somebody;
  for (const [name, value] of Object.entries({ ...emulatedEnvironment(proxy.endpoint, REGION), AWS_MAX_ATTEMPTS: "1" }))
    vi.stubEnv(name, value);
  const aws = createAws({ env: process.env, version: "0.0.0", clock, log: () => {} });

  // One call at a time, with what happens around it: so it is known on which side of a read or a write everything lies.
  let watching: { readonly watch: StageWatcher; readonly ids: Stage["ids"] } | undefined;
  let turn = Promise.resolve();
  const done = new Map<AwsRequest, () => void>();
  proxy.rule(
    announced(),
    {
      times: Number.POSITIVE_INFINITY,
      async before(request) {
        // Nobody answers it but the proxy, and nothing depends on it.
        if (request.operation === "DescribePendingMaintenanceActions") return;
        const before = turn;
        turn = new Promise((resolve) => done.set(request, resolve));
        await before;
        if (watching) await watching.watch.before(wireCall(request, watching.ids), request);
      },
    },
    {
      times: Number.POSITIVE_INFINITY,
      async after(request) {
        if (watching) await watching.watch.after(wireCall(request, watching.ids), request);
        done.get(request)?.();
        done.delete(request);
      },
    },
  );

  const { Images = [] } = await ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
  const imageId = Images[0]!.ImageId!;
  let stages = 0;

  async function stage(
    watch: StageWatcher,
    { ec2: withEc2 = true, wrap = (same) => same }: StageOptions = {},
  ): Promise<Stage> {
    const { group, first, second, database } = withEc2
      ? await freshEc2()
      : { group: "none", first: "none", second: "none", database: "none" };
    const ids = { group, first, second, database, bucket: "assets", log: "/app/api" };
    cloudControl.reset();
    for (const thing of ["bucket", "log"] as const) makeResource(cloudControl.world, thing, "0");
    const others = new Set(withEc2 ? (await living()).map(({ InstanceId }) => InstanceId) : []);

    const session = await inMemory({
      args: ARGS,
      wrap: (_, ours) => {
        current = ours;
        return wrap({ ...aws, close: () => {} }, watch.doing, ids);
      },
    });
    watching = { watch, ids };

    /** By id, as AWS gave them; the caller chooses among them by number. */
    const rules = async (): Promise<SecurityGroupRule[]> => {
      const asked = { Filters: [{ Name: "group-id", Values: [group] }] };
      const { SecurityGroupRules = [] } = await ec2.send(new DescribeSecurityGroupRulesCommand(asked));
      return SecurityGroupRules.sort((a, b) => (a.SecurityGroupRuleId! < b.SecurityGroupRuleId! ? -1 : 1));
    };

    async function elements(): Promise<Elements> {
      const all: [string, string][] = [];
      for (const thing of ["bucket", "log"] as const) {
        all.push(...propertyElements(thing, cloudControl.world.get(TYPES[thing], ids[thing])));
      }
      if (!withEc2) return new Map(all);
      const stored = await databaseOf(database);
      all.push(["database/setting/backupRetentionDays", String(stored.BackupRetentionPeriod)]);
      for (const { Key, Value = "" } of stored.TagList ?? []) all.push([`database/tag/${Key}`, Value]);
      const [held, { SecurityGroups = [] }, instances] = await Promise.all([
        rules(),
        ec2.send(new DescribeSecurityGroupsCommand({ GroupIds: [group] })),
        living(),
      ]);
      for (const rule of held) all.push([`group/rule/${rule.SecurityGroupRuleId}`, JSON.stringify(ruleElement(rule))]);
      for (const { Key, Value = "" } of SecurityGroups[0]?.Tags ?? []) all.push([`group/tag/${Key}`, Value]);
      for (const thing of ["first", "second"] as const) {
        const instance = instances.find(({ InstanceId }) => InstanceId === ids[thing]);
        all.push([`${thing}/state`, stateOf(instance)]);
        for (const { Key, Value = "" } of instance?.Tags ?? []) all.push([`${thing}/tag/${Key}`, Value]);
      }
      for (const { InstanceId } of instances) {
        if (!others.has(InstanceId)) all.push([`launched/${InstanceId}`, "there"]);
      }
      return new Map(all);
    }

    async function outside(move: Move, mark: number): Promise<Touch | null> {
      if (!withEc2) return editResource(cloudControl.world, move, mark);
      const ingress = (await rules()).filter(({ IsEgress }) => !IsEgress);
      switch (move.kind) {
        case "allow": {
          const peer = PEERS[move.peer]!;
          const same = ({ FromPort, ToPort, CidrIpv4 }: SecurityGroupRule): boolean =>
            FromPort === move.port && ToPort === move.port && CidrIpv4 === peer;
          if (ingress.some(same)) return null;
          return { thing: "group", names: [await allow(group, move.port, peer, `o${mark}`)] };
        }
        case "revoke":
        case "edit":
        case "describe": {
          const rule = ingress[move.nth % Math.max(ingress.length, 1)];
          const id = rule?.SecurityGroupRuleId;
          // moto keeps no description that is given by rule id, so nobody could bring one back: descriptions stay as they are.
          if (!rule || !id || move.kind === "describe") return null;
          const { FromPort, IpProtocol, CidrIpv4, Description } = rule;
          const edited = { IpProtocol, CidrIpv4, FromPort, ToPort: FromPort! + 1_000 + mark, Description };
          await (move.kind === "revoke"
            ? ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId: group, SecurityGroupRuleIds: [id] }))
            : ec2.send(
                new ModifySecurityGroupRulesCommand({
                  GroupId: group,
                  SecurityGroupRules: [{ SecurityGroupRuleId: id, SecurityGroupRule: edited }],
                }),
              ));
          return { thing: "group", names: [id] };
        }
        case "tag":
        case "untag": {
          const { thing } = move;
          const Key = TAG_KEYS[move.key]!;
          if (thing === "bucket" || thing === "log") return editResource(cloudControl.world, move, mark);
          const now = await elements();
          if (thing === "database") {
            if (move.kind === "untag" && !now.has(`database/tag/${Key}`)) return null;
            const { DBInstanceArn: ResourceName = "" } = await databaseOf(database);
            await (move.kind === "tag"
              ? rds.send(new AddTagsToResourceCommand({ ResourceName, Tags: [{ Key, Value: `o${mark}` }] }))
              : rds.send(new RemoveTagsFromResourceCommand({ ResourceName, TagKeys: [Key] })));
            return { thing, names: move.kind === "tag" ? [`o${mark}`] : [`/${Key}`, "tags"] };
          }
          if (now.get(`${thing}/state`) === "gone" || (move.kind === "untag" && !now.has(`${thing}/tag/${Key}`)))
            return null;
          const Resources = [ids[thing]];
          await (move.kind === "tag"
            ? ec2.send(new CreateTagsCommand({ Resources, Tags: [{ Key, Value: `o${mark}` }] }))
            : ec2.send(new DeleteTagsCommand({ Resources, Tags: [{ Key }] })));
          return { thing, names: move.kind === "tag" ? [`o${mark}`] : [`/${Key}`, "Tags"] };
        }
        case "terminate":
        case "stop": {
          if ((await elements()).get(`${move.thing}/state`) !== "running") return null;
          const asked = { InstanceIds: [ids[move.thing]] };
          await (move.kind === "stop"
            ? ec2.send(new StopInstancesCommand(asked))
            : ec2.send(new TerminateInstancesCommand(asked)));
          return { thing: move.thing, names: ["/state"] };
        }
        case "retain": {
          const days = 6 + (mark % 30);
          if ((await databaseOf(database)).BackupRetentionPeriod === days) return null;
          const asked = { DBInstanceIdentifier: database, ApplyImmediately: true, BackupRetentionPeriod: days };
          await rds.send(new ModifyDBInstanceCommand(asked));
          return { thing: "database", names: ["/backupRetentionDays"] };
        }
        default:
          return editResource(cloudControl.world, move, mark);
      }
    }

    return {
      ids,
      types: TYPES,
      imageId,
      call: (tool, args) => session.call(tool, { region: REGION, ...args }),
      outside,
      elements,
      pass: (minutes) => session.pass(minutes * 60_000),
      async close() {
        watching = undefined;
        await session.close();
        if (!withEc2) return;
        const left = (await living()).map(({ InstanceId = "" }) => InstanceId);
        if (left.length > 0) await ec2.send(new TerminateInstancesCommand({ InstanceIds: left }));
      },
    };
  }

  async function freshEc2(): Promise<Pick<Required<Stage["ids"]>, "group" | "first" | "second" | "database">> {
    const { GroupId: group = "" } = await ec2.send(
      new CreateSecurityGroupCommand({ GroupName: `group-${++stages}`, Description: "of a schedule" }),
    );
    await allow(group, 22, PEERS[0], "o0");
    const { Instances = [] } = await ec2.send(
      new RunInstancesCommand({ ImageId: imageId, InstanceType: "t3.micro", MinCount: 2, MaxCount: 2 }),
    );
    const [first, second] = Instances.map(({ InstanceId = "" }) => InstanceId) as [string, string];
    const database = `database-${stages}`;
    await rds.send(
      new CreateDBInstanceCommand({
        DBInstanceIdentifier: database,
        DBInstanceClass: "db.t3.micro",
        Engine: "postgres",
        AllocatedStorage: 20,
        MasterUsername: "admin",
        MasterUserPassword: "outsider-knows-it",
        BackupRetentionPeriod: 7,
      }),
    );
    return { group, first, second, database };
  }

  async function allow(group: string, port: number, peer: string, Description: string): Promise<string> {
    const { SecurityGroupRules = [] } = await ec2.send(
      new AuthorizeSecurityGroupIngressCommand({
        GroupId: group,
        IpPermissions: [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: peer, Description }] }],
      }),
    );
    return SecurityGroupRules[0]!.SecurityGroupRuleId!;
  }

  async function databaseOf(DBInstanceIdentifier: string): Promise<DBInstance> {
    const { DBInstances = [] } = await rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier }));
    return DBInstances[0]!;
  }

  async function living(): Promise<Instance[]> {
    const { Reservations = [] } = await ec2.send(
      new DescribeInstancesCommand({
        Filters: [{ Name: "instance-state-name", Values: ["pending", "running", "stopping", "stopped"] }],
      }),
    );
    return Reservations.flatMap(({ Instances = [] }) => Instances);
  }

  return {
    stage,
    requests: (operation) => proxy.calls(operation === undefined ? {} : { operation }).length,
    async close() {
      aws.close();
      somebody.close();
      vi.unstubAllEnvs();
      for (const one of [proxy, cloudControl, registry, cloudTrail, moto]) await one.stop();
    },
  };
}

/** A call in the names of the executor's services. */
function wireCall({ service: scope, operation, params: input }: AwsRequest, ids: Stage["ids"]) {
  const service = (scope === "cloudcontrolapi" ? "cloudcontrol" : scope) as Service;
  const asks = input.DryRun === "true" || /^(Describe|Get|List|Lookup)/.test(operation);
  return arrivingOf({ service, operation, input, writes: !asks }, ids);
}

const stateOf = (instance: Instance | undefined): string => {
  const name = instance?.State?.Name;
  return name === undefined ? "gone" : name === "pending" ? "running" : name === "stopping" ? "stopped" : name;
};

const ruleElement = (rule: SecurityGroupRule): object => ({
  egress: rule.IsEgress ?? false,
  protocol: rule.IpProtocol,
  fromPort: rule.FromPort,
  toPort: rule.ToPort,
  peer: rule.CidrIpv4,
  description: rule.Description ?? "",
});
