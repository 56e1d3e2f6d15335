// Stops a request that AWS is working on. Its operation stays open until AWS says how it ended.

import type { Caller, Change, ChangeStep, Operation } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import type { AwsReader } from "../core/ports.js";
import { type GateDeps, writerAt } from "./deps.js";

/**
 * @param running the operation of the change that is open, and its step with the ids of what earlier steps made
 * @throws OpsError unsupported when there is nothing to stop or AWS is past stopping, read_only, identity_mismatch
 */
export async function cancelRequest(
  deps: GateDeps,
  change: Change,
  running: { readonly operation: Operation; readonly step: ChangeStep } | undefined,
  caller: Caller,
  aws: AwsReader,
): Promise<void> {
  const next = [{ tool: "changes.get", arguments: { changeId: change.id } }];
  const nothingToStop = (): OpsError =>
    new OpsError(
      "unsupported",
      `${change.id} is ${change.state}, and AWS has nothing of it in progress that could be stopped. Only a planned change, or one under way in Cloud Control or as a deployment, can be cancelled.`,
      { field: "changeId", next },
    );
  if (!running) throw nothingToStop();
  const { operation, step } = running;
  if (!deps.config.allowWrites) {
    throw new OpsError(
      "read_only",
      `${change.id} is under way in AWS, and this server is read-only: it cannot ask AWS to stop. The operator starts it with --allow-writes to change that.`,
      { field: "changeId", next },
    );
  }
  if (change.account !== aws.account || change.region !== aws.region) {
    throw new OpsError(
      "identity_mismatch",
      `${change.id} is under way in another account or region. Nothing was sent.`,
      {
        field: "changeId",
        details: { account: change.account, region: change.region },
      },
    );
  }
  deps.log("info", "asking AWS to stop a request", { changeId: change.id, by: caller.arn });
  const writer = writerAt(deps, aws);
  const stop = await writer.stopping(step, operation.requestToken);
  if (!stop) throw nothingToStop();
  try {
    await writer.send(stop, operation);
  } catch (error) {
    if (!(error instanceof OpsError) || !PAST_STOPPING.has(String(error.details.awsCode))) throw error;
    throw new OpsError(
      "unsupported",
      `AWS can no longer stop the request of ${change.id}: it has ended or is past that point. Look at the change to see how it ends.`,
      { field: "changeId", details: error.details, next, cause: error },
    );
  }
}

/** AWS stops what is pending or in progress, and answers so to everything else. */
const PAST_STOPPING: ReadonlySet<string> = new Set([
  "ConcurrentModificationException",
  "RequestTokenNotFoundException",
  "UnsupportedActionException",
  "ConflictException",
  "DeploymentAlreadyCompletedException",
  "ActiveInstanceRefreshNotFound",
]);
