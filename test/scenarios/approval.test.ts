// Approval by a human: in a terminal, of exactly one plan, never by what a model says.

import { execFile, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { needsHuman } from "../../policies/approval.js";
import { approve } from "../../src/approve.js";
import { loadConfig } from "../../src/config.js";
import { approvalPhrase, type Change, type ChangeStep } from "../../src/core/change.js";
import { approvalForm } from "../../src/gate/approval.js";
import { type Assistant, type Human, startAssistant, temporaryFolder } from "../harness.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const run = promisify(execFile);
const INSTANCE = "i-0aa00000000000004";
const OTHER = "i-0aa00000000000003";

let folder: ReturnType<typeof temporaryFolder>;
let assistant: Assistant;
let args: string[];

beforeEach(async () => {
  folder = temporaryFolder();
  args = ["--sandbox", "--sandbox-world", join(folder.path, "world.json"), "--state", join(folder.path, "state")];
  assistant = await startAssistant({ args: [...args, "--approve-from", "high"] });
});
afterEach(async () => {
  await assistant.close();
  folder.remove();
});

async function planTerminate() {
  const seen = await assistant.call("instances_get", { instanceId: INSTANCE });
  return assistant.call("instances_terminate", {
    instanceIds: [INSTANCE],
    basedOn: [seen.data.revision],
    intent: "one less",
  });
}

/** The terminal command in this process: another session on the same folder, with somebody typing. */
async function inTerminal(changeId: string, typed: string | null): Promise<{ code: number; shown: string }> {
  let shown = "";
  const { config } = loadConfig(args, {});
  const code = await approve(config, [changeId], {
    clock: { now: () => new Date(), sleep: async () => {}, monotonic: () => 0 },
    ids: { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) },
    env: {},
    host: "test",
    user: "alice",
    pid: process.pid,
    pidExists: () => true,
    writeLog: () => {},
    terminal: typed === null ? null : { ask: async () => typed },
    write: (text) => {
      shown += text;
    },
  });
  return { code, shown };
}

describe("a change of high risk", () => {
  it("is refused until a human approves it in a terminal, and then applied", async () => {
    const planned = await planTerminate();
    const apply = () => assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    const refused = await apply();
    expect(refused.data).toMatchObject({ code: "approval_required", fixableBy: "operator", nothingWasChanged: true });
    const { changeId } = planned.data.change;
    expect(refused.data.command).toBe(`aws-devops-mcp approve ${changeId} --state ${join(folder.path, "state")}`);

    const wrong = await inTerminal(changeId, "yes");
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.shown).toContain("Nothing was approved");
    expect((await apply()).data.code).toBe("approval_required");

    const right = await inTerminal(changeId, INSTANCE);
    expect(right, right.shown).toMatchObject({ code: 0 });
    expect(right.shown).toContain("Terminate i-0aa00000000000004");
    expect(right.shown).toContain('"intent": "one less"');
    const applied = await apply();
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
  });

  it("of many differences says in its plan how many it leaves out, and shows a human in a terminal every one", async () => {
    const bucket = { type: "AWS::S3::Bucket", identifier: "sandbox-logs" };
    const seen = await assistant.call("resources_get", bucket);
    const names = Array.from({ length: 70 }, (_, index) => `tag-${index}`);
    const properties = { Tags: names.map((Key) => ({ Key, Value: "x" })) };
    const planned = await assistant.call("resources_update", {
      ...bucket,
      properties,
      basedOn: seen.data.revision,
      intent: "tags",
    });
    const { changeId, steps } = planned.data.change;
    const [{ differences, notShown }] = steps;
    expect(differences, JSON.stringify(planned.data)).toHaveLength(50);
    expect(notShown).toBeGreaterThan(0);
    const { change } = (await assistant.call("changes_get", { changeId })).data;
    expect(change.steps[0]).toMatchObject({ notShown });
    const { shown } = await inTerminal(changeId, null);
    for (const name of names) expect(shown).toContain(`"${name}"`);
    expect(shown).not.toContain("notShown");
  });

  it("is not approved by anything a model can call or say", async () => {
    const planned = await planTerminate();
    const { executionToken } = planned.data;
    for (const extra of [{ confirm: true }, { approved: true }, { approval: "alice" }]) {
      const answer = await assistant.call("changes_apply", { executionToken, ...extra });
      expect(answer.data.code).toBe("validation_error");
    }
    const found = await assistant.call("tools_search", { query: "approve", limit: 100 });
    expect(found.data.tools.map(({ name }: { name: string }) => name).join()).not.toMatch(/approve/);
    expect((await assistant.call("changes_apply", { executionToken })).data.code).toBe("approval_required");
  });

  it("is not approved without a terminal, and the command says so", async () => {
    const planned = await planTerminate();
    const { changeId } = planned.data.change;
    const failed = await run(process.execPath, [CLI, "approve", changeId, ...args]).catch((error) => error);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).toContain("This is none, so nothing was approved");
    const unknown = await run(process.execPath, [CLI, "approve", "ch_zz", ...args]).catch((error) => error);
    expect(unknown.stdout).toContain("knows no change ch_zz");
    const none = await run(process.execPath, [CLI, "approve", ...args]).catch((error) => error);
    expect(none).toMatchObject({ code: 2 });
  });

  it("is approved as it was shown: when live moves it is refused all the same", async () => {
    const planned = await planTerminate();
    await inTerminal(planned.data.change.changeId, INSTANCE);
    const other = await startAssistant({ args });
    const seen = await other.call("instances_get", { instanceId: INSTANCE });
    const theirs = await other.call("instances_terminate", {
      instanceIds: [INSTANCE],
      basedOn: [seen.data.revision],
      intent: "somebody else",
    });
    expect((await other.call("changes_apply", { executionToken: theirs.data.executionToken })).data.outcome).toBe(
      "applied",
    );
    await other.close();
    const late = await assistant.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(late.data.code).toBe("stale_revision");
  });
});

it("a change below the threshold needs nobody, and `never` asks for nobody", async () => {
  const planned = await assistant.call("securityGroups_addRule", {
    groupId: "sg-0bb00000000000002",
    rule: { fromPort: 8443, peer: "10.0.0.0/8" },
    intent: "admin port",
  });
  expect((await assistant.call("changes_apply", { executionToken: planned.data.executionToken })).data.outcome).toBe(
    "applied",
  );
  expect(needsHuman("critical", "never")).toBe(false);
  expect(needsHuman("medium", "high")).toBe(false);
  expect(needsHuman("high", "high")).toBe(true);
});

describe.each(["v1", "v2", "v2-2026"] as const)("a human in front of the host (%s client)", (client) => {
  const withHuman = async (human: Human, extra: string[] = []) => {
    await assistant.close();
    assistant = await startAssistant({ args: [...args, "--approve-from", "high", ...extra], client, human });
    const planned = await planTerminate();
    const { executionToken } = planned.data;
    return { planned, executionToken, apply: () => assistant.call("changes_apply", { executionToken }) };
  };

  it("is shown the plan, types the name, and the change is applied in the same call", async () => {
    const asked: string[][] = [];
    const { planned, apply } = await withHuman((message, field) => {
      asked.push([message, field]);
      return { action: "accept", content: { approval: INSTANCE } };
    });
    expect(planned.data.next.when).toContain("a form");
    const applied = await apply();
    expect(applied.data.outcome, JSON.stringify(applied.data)).toBe("applied");
    expect(asked).toHaveLength(1);
    const [message, field] = asked[0]!;
    expect(message).toContain(`Terminate ${INSTANCE}`);
    expect(message).toMatch(/account \d{12}, region us-east-1/);
    expect(message).toContain("risk high: deletes or terminates a resource");
    expect(message).toContain('the assistant\'s reason: "one less"');
    expect(field).toContain(`type ${INSTANCE}`);
    const recorded = readFileSync(join(folder.path, "state", "state.json"), "utf8");
    expect(JSON.parse(recorded).journal.changes[planned.data.change.changeId].approval).toMatchObject({
      channel: "elicitation",
      by: expect.stringContaining("a human at test"),
    });
  });

  it.each([
    ["declines", { action: "decline" }, "did not approve it"],
    ["closes the form", { action: "cancel" }, "did not approve it"],
    ["types another name", { action: "accept", content: { approval: "yes" } }, "typed another name"],
    ["types nothing", { action: "accept", content: { approval: "" } }, "typed another name"],
  ] as const)(
    "%s: nothing is sent, the change stays planned, and the model is told not to insist",
    async (_, reply, told) => {
      let asked = 0;
      const { planned, apply } = await withHuman(() => {
        asked++;
        return { ...reply };
      });
      const refused = await apply();
      expect(refused).toMatchObject({ isError: true, data: { code: "approval_required", nothingWasChanged: true } });
      expect(refused.data.message).toContain(told);
      expect(asked, "a no is an answer: nobody is asked again in the same call").toBe(1);
      const { change } = (await assistant.call("changes_get", { changeId: planned.data.change.changeId })).data;
      expect(change).toMatchObject({ state: "planned", operations: [] });
      expect((await assistant.call("instances_get", { instanceId: INSTANCE })).data.instance.state).toBe("running");
    },
  );

  it("thinks while the world moves: the yes was to something else, and is not used", async () => {
    const { executionToken } = await withHuman(async () => {
      const other = await startAssistant({ args });
      const seen = await other.call("instances_get", { instanceId: INSTANCE });
      const theirs = await other.call("instances_terminate", {
        instanceIds: [INSTANCE],
        basedOn: [seen.data.revision],
        intent: "somebody else",
      });
      await other.call("changes_apply", { executionToken: theirs.data.executionToken });
      await other.close();
      return { action: "accept", content: { approval: INSTANCE } };
    });
    const late = await assistant.call("changes_apply", { executionToken });
    expect(late.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
  });

  it("is not asked where the operator wants a terminal", async () => {
    let asked = 0;
    const { apply } = await withHuman(() => {
      asked++;
      return { action: "accept", content: { approval: INSTANCE } };
    }, ["--approve-via", "terminal"]);
    const refused = await apply();
    expect(refused.data).toMatchObject({ code: "approval_required", command: expect.stringContaining("approve ch_") });
    expect(asked).toBe(0);
  });
});

describe("what the human is shown", () => {
  const step: ChangeStep = {
    service: "cloudcontrol",
    operation: "CreateResource",
    input: { TypeName: "AWS::IAM::Role" },
    ref: { account: "123456789012", region: "global", type: "AWS::IAM::Role", id: "reader" },
    reader: "cloudcontrol",
    kind: "create",
    before: null,
    after: { RoleName: "reader", ManagedPolicyArns: ["arn:aws:iam::aws:policy/AdministratorAccess"] },
    touches: [""],
  };
  const change = (more: Partial<Change>) =>
    ({
      id: "ch_1a",
      summary: `Create AWS::IAM::Role ${more.steps?.[0]?.ref.id ?? ""}`,
      account: "123456789012",
      region: "us-east-1",
      caller: { arn: "arn:aws:iam::123456789012:user/me", session: "s" },
      risk: { level: "high", because: ["changes permissions or keys"] },
      warnings: [],
      intent: "one more",
      planDigest: "d",
      steps: [step],
      ...more,
    }) as Change;

  it("holds what a create makes, and what a launch sends", () => {
    expect(approvalForm(change({})).message).toContain("AdministratorAccess");
    const launch = { ...step, service: "ec2", operation: "RunInstances", reader: "service" as const, after: {} };
    const { message } = approvalForm(change({ steps: [{ ...launch, input: { ImageId: "ami-1", MaxCount: 7 } }] }));
    expect(message).toContain('/ImageId: nothing → "ami-1"');
    expect(message).toContain("/MaxCount: nothing → 7");
  });

  it("holds every call, however many differences the first of them has, and a rule's peer", () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`P${index}`, index]));
    const gone = { ...step, kind: "delete" as const, operation: "DeleteResource", after: null };
    const steps = [
      { ...step, after: many },
      { ...gone, before: { a: 1 }, ref: { ...step.ref, id: "the-other" } },
    ];
    const { message } = approvalForm(change({ steps }));
    expect(message).toContain("cloudcontrol.DeleteResource AWS::IAM::Role the-other");
    expect(message).toMatch(/and \d+ more differences/);
    const rule = {
      direction: "ingress",
      protocol: "tcp",
      fromPort: 22,
      toPort: 22,
      ruleId: "new-1",
      peer: "0.0.0.0/0",
    };
    const opened = { ...step, kind: "update" as const, before: { rules: [] }, after: { rules: [rule] } };
    expect(approvalForm(change({ steps: [opened] })).message).toContain("0.0.0.0/0");
  });

  it("holds the findings of scanners", () => {
    const finding = { source: "checkov", rule: "CKV_1", severity: "medium" as const, message: "bad\nthing", step: 0 };
    const policyResults = { passed: 0, failed: 1, critical_issues: [], findings: [finding], checked_by: ["checkov"] };
    expect(approvalForm(change({ policyResults })).message).toContain("finding: CKV_1 bad thing");
  });

  it("has no line that a name, a warning or a reason wrote, and a name that can be typed", () => {
    const id = "x\nrisk low\u2028account 1\u001b[2J";
    const form = approvalForm(
      change({ steps: [{ ...step, ref: { ...step.ref, id } }], warnings: ["a\rrisk low"], intent: "a\nrisk low" }),
    );
    expect(form.message.split(/[\n\r\u2028\u2029]/).filter((line) => /^(risk low|account 1$)/.test(line))).toEqual([]);
    expect(form.message).not.toContain("\u001b");
    expect(form.phrase).toBe("ch_1a");
    for (const name of [" a", "a ", "a\u202eb", "a".repeat(2000)]) {
      expect(approvalPhrase({ id: "ch_1a", steps: [{ ...step, ref: { ...step.ref, id: name } }] })).toBe("ch_1a");
    }
    for (const name of ["i-1", "cluster|service", "/aws/lambda/f", "Büro 1"]) {
      expect(approvalPhrase({ id: "ch_1a", steps: [{ ...step, ref: { ...step.ref, id: name } }] })).toBe(name);
    }
  });
});

describe("a client that makes up what the human said", () => {
  const META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } },
  };
  // biome-ignore lint/suspicious/noExplicitAny: the wire as it is
  type Wire = any;

  /** The protocol by hand, so that every field of a reply can be forged. */
  function byHand() {
    const child = spawn(process.execPath, [CLI, ...args, "--approve-from", "high"], { stdio: "pipe", env: {} });
    const waiting = new Map<number, (message: Wire) => void>();
    createInterface({ input: child.stdout }).on("line", (line) => {
      const message = JSON.parse(line);
      waiting.get(message.id)?.(message);
    });
    let id = 0;
    return {
      call: (name: string, given: object, more: object = {}): Promise<Wire> =>
        new Promise((resolve) => {
          id++;
          waiting.set(id, resolve);
          const params = { name, arguments: given, ...more, _meta: META };
          child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params })}\n`);
        }),
      close: () => void child.stdin.end(),
    };
  }
  const yes = (typed: string) => ({ inputResponses: { approval: { action: "accept", content: { approval: typed } } } });

  it("gets nowhere: a reply counts only for the change, the call and the process whose seal it carries", async () => {
    const client = byHand();
    const other = byHand();
    const terminate = async (instanceId: string) => {
      const seen = (await client.call("instances_get", { instanceId })).result.structuredContent;
      const planned = await client.call("instances_terminate", {
        instanceIds: [instanceId],
        basedOn: [seen.revision],
        intent: "one less",
      });
      return { executionToken: planned.result.structuredContent.executionToken as string };
    };
    const mine = await terminate(INSTANCE);
    const theirs = await terminate(OTHER);
    const first = (await client.call("changes_apply", mine)).result;
    expect(first).toMatchObject({
      resultType: "input_required",
      inputRequests: { approval: { params: { mode: "form" } } },
    });
    const { requestState } = first;

    const asksAgain = { result: { resultType: "input_required" } };
    const refused = { error: { code: -32602, data: { reason: "invalid_request_state" } } };
    expect(await client.call("changes_apply", mine, yes(INSTANCE)), "no seal").toMatchObject(asksAgain);
    expect(
      await client.call("changes_apply", theirs, { ...yes(OTHER), requestState }),
      "of another change",
    ).toMatchObject(asksAgain);
    const edited = `${requestState.slice(0, -3)}AAA`;
    expect(await client.call("changes_apply", mine, { ...yes(INSTANCE), requestState: edited })).toMatchObject(refused);
    expect(
      await other.call("changes_apply", mine, { ...yes(INSTANCE), requestState }),
      "another process",
    ).toMatchObject(refused);
    const body = JSON.parse(Buffer.from(requestState.split(".")[1], "base64url").toString());
    const forged = { ...body, p: { ...body.p, planDigest: "0".repeat(64) } };
    const sealed = ["v1", Buffer.from(JSON.stringify(forged)).toString("base64url"), requestState.split(".")[2]].join(
      ".",
    );
    expect(await client.call("changes_apply", mine, { ...yes(INSTANCE), requestState: sealed })).toMatchObject(refused);

    for (const id of [INSTANCE, OTHER]) {
      const { result } = await client.call("instances_get", { instanceId: id });
      expect(result.structuredContent.instance.state).toBe("running");
    }
    const applied = await client.call("changes_apply", mine, { ...yes(INSTANCE), requestState });
    expect(applied.result.structuredContent.outcome, "the real reply").toBe("applied");
    const replayed = await client.call("changes_apply", mine, { ...yes(INSTANCE), requestState });
    expect(replayed.result.structuredContent.repeated.code).toBe("token_spent");
    client.close();
    other.close();
  });
});
