// What the missing required tags of a resource could be, and how sure that is.

import { z } from "zod";
import { suggestionsFor } from "../../policies/tagging/suggest.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { TaggedResource } from "../../src/core/tagged.js";
import { read } from "../../src/core/tool.js";
import { Arn } from "./inputs.js";
import { heldPolicy } from "./policy.js";
import { scan, taggedView } from "./scan.js";
import { seenOf } from "./seen.js";

/** What could not be asked makes a suggestion less sure, and is said; it is no reason to make none. */
async function orSaid<T>(what: string, missing: string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    missing.push(`${what}: ${error.code}`);
    return undefined;
  }
}

const regionsOf = ({ region }: TaggedResource) => (region === "global" ? {} : { filters: { regions: [region] } });

async function cluesOf(ports: ReadPorts, resource: TaggedResource, missing: string[]) {
  const vpcName = resource.vpcId
    ? await orSaid("vpc", missing, ports.aws.tagged.vpcName(resource.region, resource.vpcId))
    : undefined;
  return { ...(vpcName && { vpcName }), ...(resource.role && { role: resource.role }) };
}

export const suggest = read({
  title: "Suggest missing tags",
  description:
    "Values for the required tags a resource lacks, by a table of keywords (VPC name, role, name, ARN), similar resources and its name; never one the policy rejects. Below 0.5 it is a guess nobody should take unasked; an address marked verified: false is invented. Apply with tags.apply.",
  scope: "region",
  foreignText: true,
  input: z.object({ resource_arn: Arn }),
  output: z.object({
    resource_arn: z.string(),
    resource_type: z.string(),
    suggestions: z.array(z.looseObject({ tag_key: z.string(), suggested_value: z.string(), confidence: z.number() })),
    current_tags: z.record(z.string(), z.string()),
    suggestion_count: z.number(),
    not_read: z.array(z.string()),
  }),
  async run({ resource_arn }, ports) {
    const { policy } = await heldPolicy(ports);
    const found = await seenOf(ports, resource_arn);
    if (found === null) {
      throw new OpsError("not_found", "AWS knows no such resource.", {
        field: "resource_arn",
        details: { resource_arn },
      });
    }
    const { resource } = found;
    const missing: string[] = [];
    const clues = await cluesOf(ports, resource, missing);
    const alike = await orSaid(
      "similar resources",
      missing,
      scan(ports, { resource_types: [resource.type], ...regionsOf(resource) }),
    );
    if (alike && !alike.complete) missing.push("similar resources: partly unread");
    const similar = (alike?.resources ?? []).filter(({ arn }) => arn !== resource.arn);
    const suggestions = suggestionsFor(policy, taggedView(resource), similar, clues);
    return {
      data: {
        resource_arn,
        resource_type: resource.type,
        suggestions: suggestions as unknown as Json,
        current_tags: { ...resource.tags },
        suggestion_count: suggestions.length,
        not_read: missing,
      },
      ...(found.seen && { seen: [found.seen] }),
    };
  },
});
