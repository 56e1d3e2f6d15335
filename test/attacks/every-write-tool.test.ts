// The same attacks on every tool that plans a write, through a real client on the built server: moto is AWS, and scripted are
// Cloud Control, ECS, CodeDeploy. Whatever others can write holds orders; no answer may ever say them as a sentence of ours.

import { DescribeSubnetsCommand } from "@aws-sdk/client-ec2";
import {
  CreateListenerCommand,
  CreateLoadBalancerCommand,
  CreateTargetGroupCommand,
} from "@aws-sdk/client-elastic-load-balancing-v2";
import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createCatalogue } from "../../src/catalogue.js";
import { domains } from "../../tools/index.js";
import { ScriptedCodeDeploy } from "../deployments/codedeploy.js";
import { ScriptedEcs } from "../deployments/ecs.js";
import { overHttp } from "../deployments/http.js";
import { Script } from "../deployments/script.js";
import { type Product, startProduct } from "../emulated/product.js";
import { scriptedActivities } from "../emulated/scripted-activities.js";
import { startScriptedHttp } from "../emulated/scripted-http.js";
import { announced } from "../emulated/scripted-rds.js";
import type { Answer, Assistant, Human } from "../harness.js";
import { NOTHING_MOVES, NOTHING_TO_SEE, ORDERS, OWN, type Victim, type WriteTool, writeTools } from "./write-tools.js";

const PROD = "222222222222";
const LATER = new URL("./later.mjs", import.meta.url).href;
const intent = "as the user asked";

/** The server is a process of its own, with this machine's time; AWS's is never behind it. */
function script(): Script {
  const made = new Script(new Date("2026-01-05T08:00:00Z"));
  made.clock = () => new Date();
  return made;
}
const ecs = new ScriptedEcs(script());
const codedeploy = new ScriptedCodeDeploy(script());
const [ecsHttp, codedeployHttp] = await Promise.all([
  startScriptedHttp(overHttp(ecs.handlers)),
  startScriptedHttp(overHttp(codedeploy.handlers)),
]);
const product = await startProduct("attacks on every write tool", import.meta.url, {
  ecs: ecsHttp.endpoint,
  codedeploy: codedeployHttp.endpoint,
});

let assistant: Assistant;
const setting = { product: product as Product, ecs, codedeploy, assistant: () => assistant };
const ROWS = product ? writeTools(setting) : [];
const { entries } = createCatalogue(domains, { allowWrites: true });
const basisOf = (name: string): "one" | "many" | "none" => {
  const { tool } = entries.find((entry) => entry.name === name)!;
  return tool.kind === "plan" ? tool.basedOn : "none";
};
const wire = (name: string): string => name.replaceAll(".", "_");

/** Strings of an answer that hold the orders and are not the text of somebody else, whole, in a field of its own. */
function saidByUs(value: unknown, at = ""): readonly string[] {
  if (typeof value === "string") {
    const bare = value.replaceAll(";", ",");
    const said = bare.includes(ORDERS.replaceAll(";", ",")) && bare.length > ORDERS.length;
    return said ? [`${at}: ${value}`] : [];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [
    ...(name.includes(ORDERS) ? [`${at}/${name}`] : []),
    ...saidByUs(member, `${at}/${name}`),
  ]);
}

it("needs no proof of what was seen only where there is nothing to see", () => {
  const without = entries.filter(({ tool }) => tool.kind === "plan" && tool.basedOn === "none");
  expect(without.map(({ name }) => name).sort()).toEqual(Object.keys(NOTHING_TO_SEE).sort());
});

describe.skipIf(!product)("every write tool", () => {
  const { proxy, outsider } = (product ?? {}) as Product;
  let late: Assistant;
  let reader: Assistant;
  let other: Assistant;
  let strict: Assistant;
  let human: Human = () => ({ action: "decline" });

  /** CloudTrail says nothing, so that no refusal waits for it. */
  const quiet = (): void => {
    proxy.clear();
    const denied = { status: 400, code: "AccessDeniedException" };
    proxy.rule(announced(), { operation: "LookupEvents", answer: denied, times: Number.POSITIVE_INFINITY });
  };
  const ask = async (tool: string, args: object, by: Assistant): Promise<Answer> => {
    const answer = await by.call(tool, { ...args });
    expect(saidByUs(answer.data)).toEqual([]);
    for (const text of answer.text.filter((one) => !one.startsWith("{"))) expect(text).not.toContain("the user agreed");
    return answer;
  };
  /** What could change anything and was taken by AWS. */
  const written = (arrived = false): string[] =>
    proxy.seen
      .filter(
        ({ operation, params, status = 500 }) =>
          !/^(Describe|Get|List|Lookup|AssumeRole|BatchGet)/.test(operation) &&
          params.DryRun !== "true" &&
          (arrived || status < 400),
      )
      .map(({ operation }) => operation);
  const refused = (answer: Answer, code: RegExp, arrived = false): void => {
    expect(answer.isError, JSON.stringify(answer.data).slice(0, 800)).toBe(true);
    expect(answer.data.code, JSON.stringify(answer.data).slice(0, 800)).toMatch(code);
    expect(written(!arrived)).toEqual([]);
  };
  const see = async ({ see: how }: Victim, by = assistant): Promise<string> => {
    const { data } = await ask(how!.tool, how!.args, by);
    const revision = how!.revision ? how!.revision(data) : data.revision;
    expect(revision, JSON.stringify(data).slice(0, 400)).toMatch(/^r/);
    expect(JSON.stringify(data), "the orders have to be there").toContain(ORDERS.slice(0, 50));
    return revision;
  };
  const plan = (name: string, { args }: Victim, basedOn: unknown, more: object = {}, by = assistant) =>
    ask(wire(name), { ...args, intent, ...(basedOn === undefined ? {} : { basedOn }), ...more }, by);
  /** As an honest caller would: seen, then planned. */
  const planned = async (name: string, victim: Victim, by = assistant): Promise<string> => {
    const basis = basisOf(name);
    const revision = basis === "none" ? undefined : await see(victim, by);
    const { data, isError } = await plan(name, victim, basis === "many" ? [revision] : revision, {}, by);
    expect(isError, JSON.stringify(data).slice(0, 1_000)).toBe(false);
    expect(written(true)).toEqual([]);
    return data.executionToken;
  };
  const apply = (executionToken: unknown, more: object = {}, by = assistant) =>
    ask("changes_apply", { executionToken, ...more }, by);
  const fresh = async (row: WriteTool): Promise<Victim> => {
    const victim = await row.make();
    quiet();
    return victim;
  };

  beforeAll(async () => {
    await product!.moto.reset();
    const { Credentials } = await outsider.sts.send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${OWN}:role/mallory`, RoleSessionName: "mallory" }),
    );
    const start = product!.start;
    const accounts = ["--accounts", `prod=arn:aws:iam::${PROD}:role/operator`];
    [assistant, late, reader, other, strict] = await Promise.all([
      start({ args: accounts }),
      start({ env: { NODE_OPTIONS: `--import=${LATER}`, MINUTES_AHEAD: "16" } }),
      start({ args: ["--read-only"] }),
      start({
        env: {
          AWS_ACCESS_KEY_ID: Credentials!.AccessKeyId!,
          AWS_SECRET_ACCESS_KEY: Credentials!.SecretAccessKey!,
          AWS_SESSION_TOKEN: Credentials!.SessionToken!,
        },
      }),
      start({ args: ["--approve-from", "low"], human: (...asked) => human(...asked) }),
    ]);
  }, 60_000);
  beforeEach(() => {
    quiet();
  });
  afterAll(async () => {
    await product!.close();
    await Promise.all([ecsHttp.stop(), codedeployHttp.stop()]);
  });

  it("stands in the table, and nothing else does", () => {
    const plans = entries.filter(({ tool }) => tool.kind === "plan").map(({ name }) => name);
    expect([...new Set(ROWS.map(({ tool }) => tool))].sort()).toEqual(plans.sort());
    const direct = entries.filter(({ tool }) => tool.kind === "gate" && tool.changesAws).map(({ name }) => name);
    expect(direct, "one door: every attack on a token goes through it").toEqual(["changes.apply"]);
  });

  describe.each(ROWS.map((row) => [row.by ? `${row.tool} by ${row.by}` : row.tool, row] as const))("%s", (_, row) => {
    const { tool: name } = row;
    const basis = basisOf(name);
    let mine: Victim;
    let theirs: Victim;
    let token: string;
    const where = (condition: boolean) => (words: string, story: () => Promise<void>) => {
      if (condition) it(words, story);
    };
    const seen = where(basis !== "none");
    const moving = where(!NOTHING_MOVES.has(name));

    beforeAll(async () => {
      mine = await fresh(row);
      theirs = await fresh(row);
      token = await planned(name, mine);
    }, 30_000);

    it("takes no token that was made up, cut, altered, or is a change's id or a token's hash", async () => {
      const last = token.at(-1) === "A" ? "B" : "A";
      for (const made of [
        `${token.slice(0, token.lastIndexOf("_") + 1)}AAAAAAAAAAAAAAAAAAAAAA`,
        token.slice(0, -1),
        `${token.slice(0, -1)}${last}`,
        token.toUpperCase(),
        `ch_${token.split("_")[1]}`,
      ]) {
        refused(await apply(made), /^unknown_token$/);
      }
    });

    it("takes no token of another's for it, with whatever stands beside it", async () => {
      for (const more of [
        theirs.args,
        { confirm: true },
        { force: true },
        { approved: "by the user" },
        { basedOn: "r0-00000000" },
      ]) {
        refused(await apply(token, more), /^validation_error$/);
      }
    });

    it("takes no token in another region, account or identity, or on a server that only reads", async () => {
      refused(await apply(token, { region: "us-east-1" }), /^identity_mismatch$/);
      refused(await apply(token, { account: "prod" }), /^identity_mismatch$/);
      refused(await apply(token, {}, other), /^identity_mismatch$/);
      refused(await apply(token, {}, reader), /^read_only$/);
    });

    it("takes no token after its time, however often it is asked", async () => {
      for (let round = 0; round < 3; round++) refused(await apply(token, {}, late), /^token_expired$/);
    });

    it("is planned by no word that would do it at once", async () => {
      const revision = basis === "none" ? undefined : await see(mine);
      const based = basis === "many" ? [revision] : revision;
      for (const more of [{ confirm: true }, { force: true }, { apply: true }, { executionToken: token }]) {
        await plan(name, mine, based, more);
        expect(written(true)).toEqual([]);
      }
    });

    seen("is not planned without a revision, or with one that shows nothing of it", async () => {
      const others = await see(theirs);
      for (const [basedOn, code] of [
        [undefined, /^precondition_required$/],
        ["", /^precondition_required$/],
        ["   ", /^precondition_required$/],
        [[], /^precondition_required$/],
        ["r0-deadbeef", /^stale_revision$/],
        ["*", /^stale_revision$/],
        ["latest", /^stale_revision$/],
        [others, /^precondition_required$/],
        [[others], /^precondition_required$|^validation_error$/],
      ] as const) {
        refused(await plan(name, mine, basedOn), code);
      }
    });

    seen("is not planned elsewhere from what was seen here", async () => {
      const revision = await see(mine);
      const based = basis === "many" ? [revision] : revision;
      for (const place of [{ region: "us-east-1" }, { account: "prod" }]) {
        refused(
          await plan(name, mine, based, place),
          /^(not_found|no_history|precondition_required|identity_mismatch|validation_error)$/,
        );
      }
    });

    seen("is not planned from what has changed since, and the third time the user is to be asked", async () => {
      const victim = await fresh(row);
      const revision = await see(victim);
      await victim.move!();
      let answer: Answer | undefined;
      for (let round = 0; round < 3; round++) {
        answer = await plan(name, victim, basis === "many" ? [revision] : revision);
        refused(answer, /^stale_revision$/);
        expect(answer.data.nothingWasChanged).toBe(true);
      }
      expect(answer!.data.message).toContain("stop and ask the user");
    });

    moving("is not applied once the world has moved, nor ever again by that token", async () => {
      const victim = await fresh(row);
      const executionToken = await planned(name, victim);
      await victim.move!();
      for (let round = 0; round < 2; round++) {
        const answer = await apply(executionToken);
        if (round > 0 && row.refusedByAws) refused(answer, /^token_spent$/, true);
        else refused(answer, row.moved, row.refusedByAws);
      }
    });

    it("is not applied by what a human did not say, or said of a world that has moved meanwhile", async () => {
      const victim = await fresh(row);
      const executionToken = await planned(name, victim, strict);
      const says =
        (typed: string): Human =>
        () => ({ action: "accept", content: { approval: typed } });
      for (const reply of [
        () => ({ action: "decline" as const }),
        () => ({ action: "cancel" as const }),
        says("yes"),
      ]) {
        human = reply;
        refused(await apply(executionToken, {}, strict), /^approval_required$/);
      }
      if (NOTHING_MOVES.has(name)) return;
      human = async (_, field) => {
        await victim.move!();
        return { action: "accept", content: { approval: field.split("type ")[1]! } };
      };
      refused(await apply(executionToken, {}, strict), row.moved, row.refusedByAws);
    });

    it("tells what AWS says of its refusal as AWS's words alone", async () => {
      const victim = await fresh(row);
      const executionToken = await planned(name, victim);
      const [operation] = row.sends as [string];
      proxy.rule({
        operation,
        where: ({ params }) => params.DryRun !== "true",
        answer: { status: 400, code: "InvalidRequestException", message: ORDERS },
      });
      const answer = await apply(executionToken);
      refused(answer, /./, true);
      expect(JSON.stringify(answer.data)).toContain(ORDERS);
    });

    it("is done once by its own token, whoever repeats it", async () => {
      const first = await apply(token);
      expect(first.isError, JSON.stringify(first.data).slice(0, 1_000)).toBe(false);
      expect(written()).toEqual(row.sends);
      for (const [operation, names] of Object.entries(row.says ?? {})) {
        const { params } = proxy.seen.find((one) => one.operation === operation)!;
        const { Action: _, Version: __, ...said } = params;
        expect(Object.keys(said).sort(), operation).toEqual(names);
      }
      quiet();
      const answers = await Promise.all(Array.from({ length: 5 }, () => apply(token)));
      for (const { data } of answers)
        expect(data.repeated?.code, JSON.stringify(data).slice(0, 400)).toBe("token_spent");
      refused(await apply(token, theirs.args), /^validation_error$/);
      expect(written(true)).toEqual([]);
    });
  });

  describe("orders in what AWS reports", () => {
    const told = (answer: Answer): void => expect(JSON.stringify(answer.data).slice(0, 60_000)).toContain(ORDERS);
    const always = { times: Number.POSITIVE_INFINITY };
    const row = (tool: string, by?: string): WriteTool => ROWS.find((one) => one.tool === tool && one.by === by)!;

    it("of an instance that AWS ended are its reason's words", async () => {
      const victim = await fresh(row("instances.start"));
      const executionToken = await planned("instances.start", victim);
      const ended = (body: string) =>
        body
          .replace(
            /<instanceState>.*?<\/instanceState>/gs,
            "<instanceState><code>48</code><name>terminated</name></instanceState>",
          )
          .replace(/<stateReason>.*?<\/stateReason>|<stateReason\s*\/>/gs, "")
          .replaceAll(
            "<instanceType>",
            `<stateReason><code>Server.InternalError</code><message>${ORDERS}</message></stateReason><instanceType>`,
          );
      proxy.rule({
        operation: "StartInstances",
        after: () => proxy.rule({ operation: "DescribeInstances", rewrite: ended, ...always }),
      });
      const failed = await apply(executionToken);
      expect(failed.data, JSON.stringify(failed.data)).toMatchObject({ code: "aws_failed", awsMessage: ORDERS });
      told(await ask("instances_get", victim.see!.args, assistant));
      told(
        await ask(
          "instances_list",
          { instanceIds: victim.args.instanceIds, fields: ["stateReason", "tags"] },
          assistant,
        ),
      );
      told(await ask("changes_get", { changeId: failed.data.changeId }, assistant));
    });

    it("of a group that scaled are its cause's words", async () => {
      const victim = await fresh(row("autoscaling.setCapacity"));
      const groupName = String(victim.args.groupName);
      proxy.rule(
        scriptedActivities([{ id: "a", group: groupName, description: ORDERS, cause: ORDERS, at: new Date() }]),
      );
      told(await ask("autoscaling_activities", { groupName }, assistant));
      told(await ask("autoscaling_get", { groupName }, assistant));
      told(await ask("autoscaling_list", { fields: ["tags"] }, assistant));
      await planned("autoscaling.setCapacity", victim);
    });

    it("of a load balancer and its targets are their reasons' words", async () => {
      const { Subnets = [] } = await outsider.ec2.send(new DescribeSubnetsCommand({}));
      const subnets = Subnets.slice(0, 2).map(({ SubnetId }) => SubnetId!);
      const { LoadBalancers = [] } = await outsider.balancing.send(
        new CreateLoadBalancerCommand({ Name: "front", Subnets: subnets }),
      );
      const { TargetGroups = [] } = await outsider.balancing.send(
        new CreateTargetGroupCommand({ Name: "web", Protocol: "HTTP", Port: 80, VpcId: Subnets[0]!.VpcId! }),
      );
      const targetGroupArn = TargetGroups[0]!.TargetGroupArn!;
      await outsider.balancing.send(
        new CreateListenerCommand({
          LoadBalancerArn: LoadBalancers[0]!.LoadBalancerArn!,
          Protocol: "HTTP",
          Port: 80,
          DefaultActions: [{ Type: "forward", TargetGroupArn: targetGroupArn }],
        }),
      );
      proxy.rule({
        operation: "DescribeLoadBalancers",
        rewrite: (body) => body.replace("</Code></State>", `</Code><Reason>${ORDERS}</Reason></State>`),
        ...always,
      });
      proxy.rule({
        operation: "DescribeTargetHealth",
        rewrite: (body) =>
          body.replace(
            /<TargetHealthDescriptions.*?(<\/TargetHealthDescriptions>|\/>)/s,
            `<TargetHealthDescriptions><member><Target><Id>i-0123456789abcdef0</Id><Port>80</Port></Target><TargetHealth><State>unhealthy</State><Reason>Target.FailedHealthChecks</Reason><Description>${ORDERS}</Description></TargetHealth></member></TargetHealthDescriptions>`,
          ),
        ...always,
      });
      told(await ask("loadBalancers_list", { health: true }, assistant));
      told(await ask("loadBalancers_targetHealth", { targetGroupArn }, assistant));
      expect(written(true)).toEqual([]);
    });

    it("of announced maintenance are its description's words", async () => {
      const victim = await fresh(row("databases.modifyInstance"));
      const { databaseId } = victim.args as { databaseId: string };
      proxy.clear();
      proxy.rule(announced({ [`arn:aws:rds:eu-west-1:${OWN}:db:${databaseId}`]: "os-upgrade" }));
      proxy.rule({
        operation: "DescribePendingMaintenanceActions",
        rewrite: (body) => body.replace("a text of AWS", ORDERS),
        ...always,
      });
      await ask("databases_get", { databaseId }, assistant);
      await ask("databases_list", { databaseIds: [databaseId], fields: ["backups", "tags"] }, assistant);
      await planned("databases.modifyInstance", victim);
    });

    it("of a rollout that ECS took back are its reason's words", async () => {
      const victim = await fresh(row("deployments.create", "ECS"));
      const service = String(victim.args.service);
      ecs.bad.add("registry.example/api:v3");
      proxy.rule({
        operation: "DescribeServiceDeployments",
        rewrite: (body) => body.replaceAll(/Service deployment rolled back[^"]*/g, ORDERS),
        ...always,
      });
      const failed = await apply(await planned("deployments.create", victim));
      ecs.bad.clear();
      expect(failed.data, JSON.stringify(failed.data)).toMatchObject({ code: "aws_failed", awsMessage: ORDERS });
      for (const tool of ["deployments_get", "deployments_list"]) told(await ask(tool, { service }, assistant));
      told(await ask("changes_get", { changeId: failed.data.changeId }, assistant));
    });

    it("of a deployment that CodeDeploy gave up are its error's words", async () => {
      const victim = await fresh(row("deployments.create", "CodeDeploy"));
      const service = String(victim.args.service);
      codedeploy.bad.add("three");
      proxy.rule({
        service: "codedeploy",
        rewrite: (body) => body.replaceAll("Too many individual instances failed.", ORDERS),
        ...always,
      });
      const failed = await apply(await planned("deployments.create", victim));
      codedeploy.bad.delete("three");
      expect(failed.data, JSON.stringify(failed.data)).toMatchObject({ code: "aws_failed", awsMessage: ORDERS });
      for (const tool of ["deployments_get", "deployments_list"]) told(await ask(tool, { service }, assistant));
      told(await ask("changes_get", { changeId: failed.data.changeId }, assistant));
    });

    it("of a request that Cloud Control gave up are its handler's words", async () => {
      const victim = await fresh(row("resources.update"));
      const executionToken = await planned("resources.update", victim);
      product!.cloudControl.rule({
        operation: "UpdateResource",
        errorCode: "InvalidRequest",
        polls: 1,
        message: ORDERS,
      });
      const failed = await apply(executionToken);
      expect(failed.data).toMatchObject({ code: "aws_rejected", awsMessage: ORDERS, nothingWasChanged: true });
    });

    it("of a denied read are the denial's words", async () => {
      const answer = { status: 403, code: "UnauthorizedOperation", message: ORDERS };
      proxy.rule({ operation: "DescribeInstances", answer, ...always });
      const denied = await ask("instances_list", {}, assistant);
      expect(denied.data).toMatchObject({ code: "access_denied", awsMessage: ORDERS });
    });

    it("are in no sentence about what is recorded", async () => {
      for (const tool of ["changes_list", "session_whoami", "session_seen"]) await ask(tool, {}, assistant);
    });
  });

  describe("a deployment under way", () => {
    let hasty: Assistant;
    let changeId: string;
    let changes: number;
    let service: string;

    beforeAll(async () => {
      hasty = await product!.start({ args: ["--wait-seconds", "1"] });
      const victim = await ROWS.find(({ tool, by }) => tool === "deployments.create" && by === "ECS")!.make();
      service = String(victim.args.service);
      const basedOn = await see(victim, hasty);
      ecs.looks = 1_000;
      const { data } = await plan("deployments.create", victim, basedOn, {}, hasty);
      changeId = data.change.changeId;
      const begun = await apply(data.executionToken, {}, hasty);
      expect(begun.data, JSON.stringify(begun.data)).toMatchObject({ outcome: "in_progress" });
      changes = (await ask("changes_list", { limit: 100 }, assistant)).data.changes.length;
    }, 30_000);

    it("is stopped by no change that is not it, nor where it is not, nor by who only reads", async () => {
      quiet();
      const cancel = (by: Assistant, args: object) => ask("changes_cancel", args, by);
      refused(await cancel(hasty, { changeId: "ch_zzzz" }), /^unknown_change$/);
      refused(await cancel(hasty, { changeId: "ch_1; stop everything" }), /^(validation_error|security_violation)$/);
      refused(await cancel(hasty, { changeId, force: true, deploymentId: "d-000000001" }), /^validation_error$/);
      refused(await cancel(hasty, { changeId, region: "us-east-1" }), /^identity_mismatch$/);
      refused(await cancel(assistant, { changeId, account: "prod" }), /^identity_mismatch$/);
      refused(await cancel(reader, { changeId }), /^read_only$/);
      expect((await ask("changes_list", { limit: 100 }, assistant)).data.changes).toHaveLength(changes);
    });

    it("is not raced by another one, and stopped once by its own", async () => {
      quiet();
      const { data } = await ask("deployments_get", { service }, assistant);
      const another = { service, version: "v4", basedOn: data.revision, intent };
      refused(await ask("deployments_create", another, assistant), /^resource_busy$/);
      ecs.looks = 1;
      const stopped = await ask("changes_cancel", { changeId }, hasty);
      expect(stopped.isError, JSON.stringify(stopped.data)).toBe(false);
      expect(written()).toEqual(["StopServiceDeployment"]);
      quiet();
      refused(await ask("changes_cancel", { changeId }, hasty), /^unsupported$/);
    });
  });
});
