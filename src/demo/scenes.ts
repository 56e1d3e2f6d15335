// The dangers, as stories: the assistant reads, the world changes, the operator asks. Each says whether it was averted.

import type { Outsider } from "../aws/sandbox/outsider.js";
import { type Json, type JsonObject, valueAt } from "../core/json.js";
import type { Told } from "./client.js";

export interface Stage {
  readonly outsider: Outsider;
  /** The assistant calls a tool. */
  call(tool: string, args: JsonObject): Promise<Told>;
  /** Somebody speaks or acts. */
  say(who: "operator" | "outsider" | "assistant", what: string): void;
}

export interface Verdict {
  readonly held: boolean;
  readonly because: string;
}

export interface Scene {
  readonly name: string;
  readonly title: string;
  play(stage: Stage): Promise<Verdict>;
}

const SERVICE = { type: "AWS::ECS::Service", name: "api-service" };
/** Revisions of the task definition `api` that the sandbox begins with. */
const RELEASE = { v220: "22", v230: "23" } as const;
const versionOf = (taskDefinition: string): string => /:(\d+)$/.exec(taskDefinition)?.[1] ?? "";
const text = (value: Json | undefined): string => (typeof value === "string" ? value : JSON.stringify(value ?? null));
const rows = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? (value as readonly JsonObject[]) : [];

async function groupNamed(stage: Stage, name: string): Promise<string> {
  const listed = await stage.call("securityGroups_list", { groupName: name });
  return text(rows(listed.data.securityGroups)[0]?.groupId);
}

async function serviceIdentifier(stage: Stage): Promise<string> {
  const listed = await stage.call("resources_list", { type: SERVICE.type, model: { Cluster: "prod" } });
  const found = rows(listed.data.resources).find((row) => text(row.identifier).includes(SERVICE.name));
  return text(found?.identifier);
}

/** Plans, then applies by the token. */
async function planAndApply(stage: Stage, tool: string, args: JsonObject): Promise<Told> {
  const planned = await stage.call(tool, args);
  if (planned.isError) return planned;
  return stage.call("changes_apply", { executionToken: planned.data.executionToken ?? "" });
}

const danger1: Scene = {
  name: "danger-1-stale-instance-count",
  title: "Danger 1: a stale instance count, and a traffic spike",
  async play(stage) {
    const first = await stage.call("instances_list", {});
    const before = rows(first.data.instances);
    const gone = before.slice(2, 4).map((row) => text(row.instanceId));
    stage.say("outsider", `low traffic: Auto Scaling terminates ${gone.join(" and ")}`);
    await stage.outsider.terminate(gone);
    stage.say("operator", "We expect a traffic spike. Do we need to scale up?");
    const second = await stage.call("instances_list", {});
    const notice = rows(second.data.staleNotices)[0];
    const named = gone.every((id) => JSON.stringify(notice ?? {}).includes(id));
    const held = before.length === 4 && second.data.count === 2 && second.data.inService === 2 && named;
    return {
      held,
      because: held
        ? "the answer counts 2, says that 4 had been seen, and names the two that are gone"
        : `seen ${before.length}, then ${text(second.data.count)}; stale notice: ${JSON.stringify(notice ?? null)}`,
    };
  },
};

const danger2: Scene = {
  name: "danger-2-silent-rule-deletion",
  title: "Danger 2: cleaning up a security group seen before a colleague changed it",
  async play(stage) {
    const groupId = await groupNamed(stage, "sg-prod");
    const seen = await stage.call("securityGroups_get", { groupId });
    stage.say("outsider", "a network engineer adds tcp/22 from 10.0.0.0/8 for maintenance");
    await stage.outsider.allow(groupId, 22, "10.0.0.0/8");
    stage.say("operator", "Clean up the security group, remove anything we don't need.");
    const refused = await stage.call("securityGroups_update", {
      groupId,
      rules: [{ protocol: "tcp", fromPort: 443, peer: "0.0.0.0/0" }],
      intent: "Clean up the security group",
      basedOn: seen.data.revision ?? "",
    });
    const planned = await stage.call("securityGroups_addRule", {
      groupId,
      rule: { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8" },
      intent: "Let the office reach the admin port",
    });
    stage.say("outsider", "another engineer opens tcp/8443 to the same office between plan and apply");
    await stage.outsider.allow(groupId, 8443, "10.0.0.0/8", "lee");
    const late = await stage.call("changes_apply", { executionToken: planned.data.executionToken ?? "" });
    const after = await stage.call("securityGroups_get", { groupId });
    const ports = rows(valueAt(after.data, "/securityGroup/rules")).map((rule) => rule.fromPort);
    const namesIt = /tcp\/22 from 10\.0\.0\.0\/8/.test(text(refused.data.message));
    const authorOf = ({ data }: Told): Json => valueAt(rows(data.changed)[0] ?? {}, "/by/session") ?? null;
    const held =
      refused.isError &&
      refused.data.code === "stale_revision" &&
      namesIt &&
      authorOf(refused) === "dana" &&
      authorOf(late) === "lee" &&
      late.isError &&
      late.data.code === "stale_revision" &&
      [22, 443, 8443].every((port) => ports.includes(port));
    return {
      held,
      because: held
        ? "both changes were refused naming the unseen rule and who added it, and ports 22, 443 and 8443 are open"
        : `authors ${text(authorOf(refused))} and ${text(authorOf(late))}; refusals ${text(refused.data.code)} and ${text(late.data.code)}; ports ${ports.join(", ")}`,
    };
  },
};

const danger3: Scene = {
  name: "danger-3-accidental-rollback",
  title: "Danger 3: rolling back to the wrong version",
  async play(stage) {
    const identifier = await serviceIdentifier(stage);
    const read = { type: SERVICE.type, identifier };
    stage.say("outsider", "two weeks ago: the pipeline runs v2.2.0");
    await stage.outsider.deploy(SERVICE.name, Number(RELEASE.v220));
    const old = await stage.call("resources_get", read);
    stage.say("operator", "Deploy v2.3.0.");
    const definition = text(valueAt(old.data, "/properties/TaskDefinition"));
    const deployed = await planAndApply(stage, "resources_update", {
      ...read,
      properties: { TaskDefinition: definition.replace(/:\d+$/, `:${RELEASE.v230}`) },
      intent: "Deploy v2.3.0",
      basedOn: old.data.revision ?? "",
    });
    const seen = await stage.call("resources_get", read);
    stage.say("outsider", "the pipeline deploys v2.4.0, a hotfix for a critical bug");
    const hotfix = await stage.outsider.release("v2.4.0");
    await stage.outsider.deploy(SERVICE.name, hotfix);
    stage.say("operator", "The API seems slow, roll back to the previous stable version.");
    const rollback = { ...read, to: "previous", intent: "The API seems slow" };
    const refused = await stage.call("state_rollback", { ...rollback, basedOn: seen.data.revision ?? "" });
    const fresh = await stage.call("resources_get", read);
    const planned = await stage.call("state_rollback", { ...rollback, basedOn: fresh.data.revision ?? "" });
    const target = rows(valueAt(planned.data, "/change/steps")).flatMap((step) =>
      rows(step.differences).map((difference) => versionOf(text(difference.after))),
    );
    const warned = JSON.stringify(valueAt(planned.data, "/change") ?? {}).includes("outside");
    stage.say(
      "assistant",
      "v2.4.0 was deployed elsewhere meanwhile; going back to v2.3.0 would undo that hotfix. Shall I?",
    );
    stage.say("operator", "No, keep the hotfix.");
    await stage.call("changes_cancel", { changeId: valueAt(planned.data, "/change/changeId") ?? "" });
    const after = await stage.call("resources_get", read);
    const running = versionOf(text(valueAt(after.data, "/properties/TaskDefinition")));
    const held =
      !deployed.isError &&
      refused.data.code === "stale_revision" &&
      !planned.isError &&
      target.join() === RELEASE.v230 &&
      warned &&
      running === String(hotfix);
    return {
      held,
      because: held
        ? 'the stale rollback was refused; "previous" resolved to v2.3.0 with the newer deployment named; v2.2.0 was never the target and v2.4.0 still runs'
        : `deploy ${text(deployed.data.outcome)}, refusal ${text(refused.data.code)}, target ${target.join()}, running ${running}`,
    };
  },
};

const driftScene: Scene = {
  name: "drift-found-and-reverted",
  title: "Drift: somebody opens a managed group, and it is put back",
  async play(stage) {
    const groupId = await groupNamed(stage, "sg-prod");
    const applied = await planAndApply(stage, "securityGroups_addRule", {
      groupId,
      rule: { protocol: "tcp", fromPort: 8443, peer: "10.0.0.0/8", description: "admin" },
      intent: "Let the office reach the admin port",
    });
    stage.say("outsider", "somebody opens tcp/3389 to the whole internet");
    await stage.outsider.allow(groupId, 3389, "0.0.0.0/0");
    const drift = await stage.call("state_drift", { identifier: groupId });
    const found = rows(drift.data.resources)[0];
    const history = await stage.call("state_history", { identifier: groupId });
    const last = rows(history.data.lineage).at(-1);
    const fresh = await stage.call("securityGroups_get", { groupId });
    const reverted = await planAndApply(stage, "state_rollback", {
      identifier: groupId,
      to: last?.executionToken ?? "",
      undoOthers: true,
      intent: "Close the port that was opened to the internet",
      basedOn: fresh.data.revision ?? "",
    });
    const again = await stage.call("state_drift", { identifier: groupId });
    const held =
      !applied.isError &&
      found?.status === "MODIFIED" &&
      found.severity === "CRITICAL" &&
      reverted.data.outcome === "applied" &&
      rows(again.data.resources)[0]?.status === "IN_SYNC";
    return {
      held,
      because: held
        ? "the open port was reported as CRITICAL drift, put back by a planned change, and the group is in sync again"
        : `apply ${text(applied.data.outcome)}, drift ${text(found?.status)} ${text(found?.severity)}, revert ${text(reverted.data.outcome ?? reverted.data.message)}, then ${text(rows(again.data.resources)[0]?.status)}`,
    };
  },
};

const historyScene: Scene = {
  name: "history-and-rollback",
  title: "History, and back to the state of an earlier token",
  async play(stage) {
    const identifier = await serviceIdentifier(stage);
    const read = { type: SERVICE.type, identifier };
    const before = await stage.call("resources_get", read);
    const scaled = await planAndApply(stage, "resources_update", {
      ...read,
      properties: { DesiredCount: 6 },
      intent: "Prepare for the traffic spike",
      basedOn: before.data.revision ?? "",
    });
    const again = await stage.call("resources_get", read);
    const more = await planAndApply(stage, "resources_update", {
      ...read,
      properties: { DesiredCount: 12 },
      intent: "The spike is larger than expected",
      basedOn: again.data.revision ?? "",
    });
    const history = await stage.call("state_history", { identifier });
    const lineage = rows(history.data.lineage);
    const token = lineage.find((entry) => valueAt(entry, "/after/DesiredCount") === 6)?.executionToken ?? "";
    const fresh = await stage.call("resources_get", read);
    const back = await planAndApply(stage, "state_rollback", {
      ...read,
      to: token,
      intent: "The spike is over",
      basedOn: fresh.data.revision ?? "",
    });
    const after = await stage.call("resources_get", read);
    const whole = await stage.call("state_history", { identifier });
    const entries = rows(whole.data.lineage);
    const held =
      [scaled, more, back].every((result) => result.data.outcome === "applied") &&
      entries.length === 3 &&
      entries.at(-1)?.rolledBackTo === token &&
      valueAt(after.data, "/properties/DesiredCount") === 6;
    return {
      held,
      because: held
        ? `the lineage shows ${entries.length} changes with their reasons, the last one a rollback, and the count is back at 6`
        : `${entries.length} entries, rollback ${text(back.data.outcome ?? back.data.message)}, count ${text(valueAt(after.data, "/properties/DesiredCount"))}`,
    };
  },
};

export const scenes: readonly Scene[] = [danger1, danger2, danger3, driftScene, historyScene];
