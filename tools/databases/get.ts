// databases.get: one instance or cluster in full.

import { z } from "zod";
import { DatabaseCluster, DatabaseInstance, Maintenance } from "../../src/core/content/databases.js";
import type { Json } from "../../src/core/json.js";
import { asKnown } from "../../src/core/known.js";
import { read } from "../../src/core/tool.js";
import { nextOpening } from "../../state/databases.js";
import { announcedFor, attentionOf, unknownIn } from "./attention.js";
import { DatabaseId, existing, Kind, seenOf } from "./parts.js";

export const get = read({
  title: "Get a database",
  description:
    "One RDS instance or cluster in full: storage, network, endpoints, windows, pending changes, announced maintenance, protection. Read it before a change.",
  scope: "region",
  foreignText: true,
  input: z.object({
    databaseId: DatabaseId.describe("An instance or a cluster"),
    kind: Kind.optional().describe("Where both have this name"),
  }),
  output: z.object({
    kind: Kind,
    revision: z.string(),
    instance: DatabaseInstance.optional(),
    cluster: DatabaseCluster.optional(),
    maintenance: z.array(Maintenance).optional(),
    unknown: z.array(z.object({})).optional(),
    attention: z.array(z.string()),
    maintenanceWindowOpensAt: z.string().optional(),
  }),
  async run({ databaseId, kind }, { aws, now, revision }) {
    const found = await existing(aws, databaseId, kind);
    const announced = await asKnown(() => aws.databases.maintenance(found.content.arn));
    const maintenance = announcedFor(announced, found);
    const seen = seenOf(aws, found);
    const opens = found.content.maintenanceWindow && nextOpening(found.content.maintenanceWindow, now);
    return {
      data: {
        kind: found.kind,
        revision: revision(seen),
        [found.kind]: found.content as unknown as Json,
        ...(announced.known && { maintenance: maintenance as unknown as Json }),
        ...unknownIn(announced),
        attention: attentionOf(found, maintenance),
        ...(opens ? { maintenanceWindowOpensAt: opens } : {}),
      },
      seen: [seen],
    };
  },
});
