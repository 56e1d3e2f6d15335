// What is written to bring the instances of an Auto Scaling group to another version of their launch template.

import type {
  CancelInstanceRefreshAnswer,
  CancelInstanceRefreshType,
  RollbackInstanceRefreshAnswer,
  RollbackInstanceRefreshType,
  StartInstanceRefreshAnswer,
  StartInstanceRefreshType,
} from "@aws-sdk/client-auto-scaling";
import type { ChangeStep } from "../../core/change.js";
import type { Deployment } from "../../core/content/deployments.js";
import { isRunning } from "../../core/deploying.js";
import { isObject } from "../../core/json.js";
import type { Progress } from "../../core/ports.js";
import { foreign } from "../foreign.js";
import { refreshes } from "../readers/instance-refresh.js";
import { asIs, type Followed, type Reads, type Rows } from "./row.js";

export interface RefreshWrites {
  "autoscaling:StartInstanceRefresh": [StartInstanceRefreshType, StartInstanceRefreshAnswer];
  "autoscaling:RollbackInstanceRefresh": [RollbackInstanceRefreshType, RollbackInstanceRefreshAnswer];
  "autoscaling:CancelInstanceRefresh": [CancelInstanceRefreshType, CancelInstanceRefreshAnswer];
}

const RECENT = 20;

function versionIn({ input }: ChangeStep): string | undefined {
  const { DesiredConfiguration: wanted } = input;
  const template = isObject(wanted) ? wanted.LaunchTemplate : undefined;
  return isObject(template) ? String(template.Version) : undefined;
}

/**
 * The refresh a step began, by its id or, where the answer that named it was lost, by its version: it is newer than the newest
 * one of the plan, and AWS lets one run at a time.
 */
async function refreshOf(api: Reads, step: ChangeStep, handle?: string): Promise<Deployment | undefined> {
  const { items } = await refreshes(api, step.ref.id, { limit: RECENT });
  if (handle !== undefined) return items.find(({ deploymentId }) => deploymentId === handle);
  const known = items.findIndex(({ deploymentId }) => deploymentId === step.input.newestRefresh);
  const newer = known < 0 ? items : items.slice(0, known);
  return newer.find(({ version }) => version === versionIn(step));
}

async function followRefresh(api: Reads, { step, handle }: Followed): Promise<Progress> {
  const refresh = await refreshOf(api, step, handle);
  if (!refresh || isRunning(refresh) || refresh.status === "unknown") {
    const { progress } = refresh ?? {};
    return { status: "pending", ...(progress && { done: { count: progress.done, of: progress.of } }) };
  }
  if (refresh.status === "succeeded") return { status: "succeeded" };
  return {
    status: "failed",
    code: "aws_failed",
    awsCode: foreign(refresh.awsStatus, 80),
    ...(refresh.reason !== undefined && { message: refresh.reason }),
  };
}

/**
 * AWS stops whatever refresh of the group is in progress, so the one in progress has to be the step's own. It brings the old
 * version back only where the group named one by its number; else the refresh can but be ended where it is.
 */
async function stopRefresh(api: Reads, { step, handle }: Followed) {
  const refresh = await refreshOf(api, step, handle);
  if (!refresh || !isRunning(refresh)) return null;
  const { Preferences: preferences } = step.input;
  const back = isObject(preferences) && preferences.AutoRollback === true;
  return {
    operation: back ? "RollbackInstanceRefresh" : "CancelInstanceRefresh",
    input: { AutoScalingGroupName: step.ref.id },
  };
}

const STOPS = { idempotency: "natural", dryRun: false, input: asIs, identifiers: () => [] } as const;

export const REFRESH_WRITES: Rows<RefreshWrites> = {
  "autoscaling:StartInstanceRefresh": {
    idempotency: "none",
    dryRun: false,
    input: ({ newestRefresh: _, ...input }) => input,
    identifiers: () => [],
    requestToken: ({ InstanceRefreshId }) => InstanceRefreshId,
    find: async (api, _, step) => ((await refreshOf(api, step)) ? [step.ref.id] : []),
    follow: followRefresh,
    stop: stopRefresh,
  },
  "autoscaling:RollbackInstanceRefresh": STOPS,
  "autoscaling:CancelInstanceRefresh": STOPS,
};
