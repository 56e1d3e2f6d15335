// What is written to Auto Scaling.

import type { SetDesiredCapacityType } from "@aws-sdk/client-auto-scaling";
import type { JsonObject } from "../../core/json.js";
import { asIs, ids, type Rows } from "./row.js";

export interface AutoScalingWrites {
  "autoscaling:SetDesiredCapacity": [SetDesiredCapacityType, object];
}

export const AUTO_SCALING_WRITES: Rows<AutoScalingWrites> = {
  "autoscaling:SetDesiredCapacity": {
    idempotency: "natural",
    dryRun: false,
    input: asIs,
    identifiers: (_: unknown, input: JsonObject) => ids([input.AutoScalingGroupName ?? null]),
  },
};
