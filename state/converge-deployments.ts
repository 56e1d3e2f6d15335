// What is deployed, brought back by a token: by the same call that deploys, and never beside a deployment in progress.

import type { ChangeStep, ResourceRef } from "../src/core/change.js";
import type { EcsService } from "../src/core/content/deployments.js";
import { diff, type JsonObject, sameJson } from "../src/core/json.js";
import type { Converged } from "./converged.js";

const parts = (service: EcsService): JsonObject => {
  const { taskDefinition: _, images: __, ...rest } = service;
  return rest as unknown as JsonObject;
};

/** An ECS service back to a task definition it ran. */
export function convergeService(ref: ResourceRef, live: EcsService, target: EcsService): Converged {
  const remaining = diff(parts(live), parts(target)).map((difference) => ({
    ...difference,
    because: "a deployment does not change it; use resources.update",
  }));
  // The images follow from the definition: a target whose images alone differ names no version.
  const same = live.taskDefinition === target.taskDefinition && sameJson(live.images, target.images);
  if (same) return { steps: [], remaining };
  const moving = live.rollout.state === "IN_PROGRESS" || live.rollout.deployments > 1;
  if (moving || live.controller !== "ECS") {
    const because = moving
      ? "a deployment is in progress, and another one would race it"
      : "another controller deploys to this service; use deployments.rollback";
    const version = [live.taskDefinition, target.taskDefinition] as const;
    return {
      steps: [],
      remaining: [
        ...remaining,
        { path: "/taskDefinition", kind: "NOT_EQUAL", before: version[0], after: version[1], because },
      ],
    };
  }
  const step: ChangeStep = {
    service: "ecs",
    operation: "UpdateService",
    input: { cluster: live.cluster, service: live.serviceArn, taskDefinition: target.taskDefinition },
    ref,
    reader: "service",
    kind: "update",
    before: live as unknown as JsonObject,
    after: { ...live, taskDefinition: target.taskDefinition, images: target.images } as unknown as JsonObject,
    touches: ["/taskDefinition", "/images", "/rollout/id", "/controller"],
    desired: { taskDefinition: target.taskDefinition, images: target.images },
  };
  return { steps: [step], remaining };
}

/** What deploys otherwise needs more than a content tells: the revision itself, or the launch template's id. */
export function notByToken(live: JsonObject, target: JsonObject): Converged {
  return {
    steps: [],
    remaining: diff(live, target).map((difference) => ({
      ...difference,
      because: "deployments.rollback goes back to a version of it by what AWS recorded",
    })),
  };
}
