// instances.get: one instance with everything that hangs on it.

import { z } from "zod";
import { Instance } from "../../src/core/content/instances.js";
import type { JsonObject } from "../../src/core/json.js";
import { unknownOf } from "../../src/core/known.js";
import { read } from "../../src/core/tool.js";
import { existing, hangingOf, InstanceId, seenOf } from "./parts.js";

export const get = read({
  title: "Get an EC2 instance",
  description:
    "One instance with its status checks and what hangs on it: target groups, Auto Scaling group, elastic IPs, volumes (deleted with it or not), protections. Read it before stopping or terminating.",
  scope: "region",
  foreignText: true,
  input: z.object({ instanceId: InstanceId }),
  output: z.object({
    revision: z.string(),
    instance: Instance,
    dependants: z.object({}),
  }),
  async run({ instanceId }, { aws, revision }) {
    const instance = await existing(aws, instanceId);
    const [dependants, health] = await Promise.all([
      aws.instances.dependants([instance]),
      aws.instances.health([instanceId]),
    ]);
    const seen = seenOf(aws, instance);
    const { instanceId: _, ...checks } = (health.known ? health.value[0] : undefined) ?? { instanceId };
    const hanging = hangingOf(dependants.get(instanceId)!);
    return {
      data: {
        revision: revision(seen),
        instance,
        health: (health.known ? checks : { unknown: unknownOf("health", health) }) as unknown as JsonObject,
        dependants: hanging,
      },
      seen: [seen],
    };
  },
});
