// Which of AWS's deployments are this record's own: by the id AWS gave, or by version and time where it gave none.

import { type Change, type Operation, ridOf } from "../../src/core/change.js";
import type { Deployment, DeployTarget } from "../../src/core/content/deployments.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { seenOf } from "./target.js";

export interface OurDeployment {
  readonly changeId: string;
  readonly by: string;
  readonly [key: string]: string;
}

/** Our clock and AWS's may differ by this much. */
const SLACK_MS = 120_000;

/** One answer a deployment, in order; undefined where somebody else made it. */
export async function oursOf(
  ports: Pick<ReadPorts, "aws" | "state" | "lineage">,
  target: DeployTarget,
  deployments: readonly Deployment[],
): Promise<readonly (OurDeployment | undefined)[]> {
  const { state } = ports;
  const rid = ridOf(seenOf(ports.aws, target).ref);
  const begun = [...state.operations.values()].flatMap((operation) => {
    const change = state.changes.get(operation.changeId);
    const step = change?.steps[operation.step];
    return change && step && ridOf(step.ref) === rid ? [{ operation, change }] : [];
  });
  // What a large store left to its archive has its end in the lineage.
  const lineage = (await ports.lineage(rid)).filter(
    ({ operationId, changeId }) => operationId !== "" && !state.changes.has(changeId),
  );
  const named = ({ id }: Change, by: string): OurDeployment => ({ changeId: id, by });
  return deployments.map((one) => {
    const at = Date.parse(one.createdAt);
    const own = begun.find(({ operation, change }) => {
      // An ECS rollout bears another id than AWS's record of it, and a lost answer named none.
      if (target.provider !== "ecs" && operation.requestToken !== undefined)
        return operation.requestToken === one.deploymentId;
      return during(operation, at) && [undefined, one.version].includes(versionOf(ports, change, operation));
    });
    if (own) return named(own.change, own.change.caller.arn);
    const entry = lineage.find(
      ({ after, timestamp }) =>
        after?.taskDefinition === one.version && Math.abs(Date.parse(timestamp) - at) <= SLACK_MS * 15,
    );
    return entry && { changeId: entry.changeId, by: entry.awsSession };
  });
}

const during = ({ intentAt, settledAt }: Operation, at: number): boolean =>
  at >= Date.parse(intentAt) - SLACK_MS &&
  at <= (settledAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(settledAt) + SLACK_MS);

/** The version an operation was to bring out; undefined where the step that was to make it has no result. */
function versionOf({ state }: Pick<ReadPorts, "state">, change: Change, operation: Operation): string | undefined {
  const { input, after } = change.steps[operation.step]!;
  const wanted = input.taskDefinition ?? after?.version ?? after?.launchedFrom;
  if (typeof wanted === "string") return after?.launchedFrom === wanted ? wanted.split(":").at(-1) : wanted;
  const made = change.operationIds[0];
  for (const { ref, lineage } of state.resources.values()) {
    if (ref.type === "AWS::ECS::TaskDefinition" && lineage.some(({ operationId }) => operationId === made))
      return ref.id;
  }
  return undefined;
}
