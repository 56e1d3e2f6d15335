// Tags for many resources at once: a plan with a difference per resource, applied in batches, undone by state.rollback.

import { z } from "zod";
import { type ChangeStep, ridOf } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { digest, type Json, type JsonObject } from "../../src/core/json.js";
import type { PlanPorts } from "../../src/core/ports.js";
import { stackOf, tagsOf } from "../../src/core/tags.js";
import { plan } from "../../src/core/tool.js";
import { taggingSteps } from "../../state/tagging-steps.js";
import { Arn } from "./inputs.js";
import { type SeenTags, seenOf } from "./seen.js";

/** As many resources as a human can still look through. */
const MOST_RESOURCES = 100;

const TagKey = z
  .string()
  .min(1)
  .max(128)
  .refine((key) => !/^aws:/i.test(key), "keys that begin with aws: belong to AWS");

const Wanted = z
  .strictObject({
    resource_arn: Arn,
    set: z.record(TagKey, z.string().max(256)).optional(),
    remove: z.array(TagKey).min(1).max(50).optional(),
  })
  .refine(({ set = {}, remove = [] }) => Object.keys(set).length + remove.length > 0, "sets or removes nothing")
  .refine(({ set = {}, remove = [] }) => !remove.some((key) => Object.hasOwn(set, key)), "sets and removes one key");
type Wanted = z.infer<typeof Wanted>;

export const apply = plan({
  title: "Plan tag changes",
  description:
    "Plan setting and removing tags of up to 100 resources of one region by ARN; nothing happens until changes.apply. Live tags are read again and shown as a difference per resource. Adding a missing key needs no revision; replacing or removing one needs `basedOn`: that resource's revision from tags.validate or its own tool. Batches of 20; AWS's refusals are named per resource; state.rollback undoes it.",
  scope: "region",
  basedOn: "many",
  input: z.object({ changes: z.array(Wanted).min(1).max(MOST_RESOURCES) }),
  async propose({ changes }, ports) {
    const twice = changes.find(({ resource_arn }, index) =>
      changes.some((one, other) => other < index && one.resource_arn === resource_arn),
    );
    if (twice) {
      throw new OpsError("validation_error", "A resource is named twice: give all of its changes in one entry.", {
        field: "changes",
        details: { resource_arn: twice.resource_arn },
      });
    }
    const looked = await live(ports, changes);
    const steps: ChangeStep[] = [];
    const warnings: string[] = [];
    const addsOnly: string[] = [];
    const differences: JsonObject[] = [];
    for (const { wanted, found } of looked) {
      const { resource, seen } = found;
      const now = tagsOf(seen.content);
      const set = Object.fromEntries(Object.entries(wanted.set ?? {}).filter(([key, value]) => now[key] !== value));
      const remove = (wanted.remove ?? []).filter((key) => Object.hasOwn(now, key));
      const replaced = Object.keys(set).filter((key) => Object.hasOwn(now, key));
      if (replaced.length === 0 && remove.length === 0) addsOnly.push(ridOf(seen.ref));
      const stack = stackOf(seen.content);
      const owner = ownerOf(now);
      if (stack !== null) {
        warnings.push(
          `${resource.id} belongs to the CloudFormation stack that \`stack\` names: its next update may undo this. Change the template instead.`,
        );
      } else if (owner !== null) {
        warnings.push(`${resource.id} is managed by ${owner}: edit the code instead, or its next run undoes this.`);
      }
      const most = Object.keys({ ...now, ...set }).filter((key) => !key.startsWith("aws:")).length - remove.length;
      if (most > 50) {
        throw new OpsError("validation_error", `${resource.id} would have ${most} tags; AWS allows 50.`, {
          field: "changes",
          details: { resource_arn: wanted.resource_arn },
        });
      }
      steps.push(...taggingSteps(seen, wanted.resource_arn, { set, remove }, await propertyOf(ports, seen)));
      differences.push({
        resource_arn: wanted.resource_arn,
        ...(stack && { stack: stack.name }),
        added: pick(set, (key) => !Object.hasOwn(now, key)),
        replaced: replaced.map((key) => ({ key, from: now[key]!, to: set[key]! })),
        removed: remove.map((key) => ({ key, was: now[key]! })),
        ...(Object.keys(set).length + remove.length === 0 && { unchanged: true }),
      });
    }
    const touched = new Set(steps.map(({ ref }) => ridOf(ref)));
    return {
      summary:
        touched.size === 0
          ? "Every resource already bears these tags; nothing needs to be done."
          : `Change the tags of ${touched.size} resource${touched.size > 1 ? "s" : ""}`,
      steps: grouped(steps),
      warnings,
      addsOnly,
      facts: { resources: differences as unknown as Json },
    };
  },
});

interface Looked {
  readonly wanted: Wanted;
  readonly found: SeenTags & { readonly seen: NonNullable<SeenTags["seen"]> };
}

/** Each resource as it is now. @throws OpsError not_found, and validation_error for those of other regions. */
async function live(ports: PlanPorts, changes: readonly Wanted[]): Promise<readonly Looked[]> {
  let done = 0;
  const looked = await Promise.all(
    changes.map(async (wanted) => {
      const found = await seenOf(ports, wanted.resource_arn);
      ports.progress("reading tags", ++done, changes.length);
      return { wanted, found };
    }),
  );
  const missing = looked.filter(({ found }) => found === null).map(({ wanted }) => wanted.resource_arn);
  if (missing.length > 0) {
    throw new OpsError("not_found", "AWS knows no such resource; nothing was planned.", {
      field: "changes",
      details: { resource_arns: missing },
      next: [{ tool: "tags.validate", arguments: { resource_arns: missing.slice(0, 5) } }],
    });
  }
  const elsewhere = looked.filter(({ found }) => found!.place !== ports.aws.region);
  if (elsewhere.length > 0) {
    const places = [...new Set(elsewhere.map(({ found }) => found!.place))].sort();
    throw new OpsError(
      "validation_error",
      `A plan is made in one region. ${elsewhere.length} of these resources live in ${places.join(", ")}: plan those with \`region\` there.`,
      {
        field: "changes",
        details: {
          byRegion: places.map((region) => ({
            region,
            resource_arns: elsewhere
              .filter(({ found }) => found!.place === region)
              .map(({ wanted }) => wanted.resource_arn),
          })),
        },
      },
    );
  }
  return looked as readonly Looked[];
}

/** Where the content of a resource keeps its tags. */
async function propertyOf({ aws }: PlanPorts, { ref, reader }: Looked["found"]["seen"]) {
  if (reader !== "cloudcontrol") return { property: "tags", shape: "map" as const };
  const rule = (await aws.schema(ref.type)).tags;
  return { property: rule?.property ?? "Tags", shape: rule?.shape === "map" ? ("map" as const) : ("list" as const) };
}

const pick = (set: Readonly<Record<string, string>>, wanted: (key: string) => boolean): JsonObject =>
  Object.fromEntries(Object.entries(set).filter(([key]) => wanted(key)));

/** Equal calls beside one another, so that one carries many; what one resource gains and loses stays in its order. */
function grouped(steps: readonly ChangeStep[]): readonly ChangeStep[] {
  const groups = new Map<string, ChangeStep[]>();
  const keyOf = ({ operation, input: { ResourceARNList: _, ...rest } }: ChangeStep): string =>
    digest([operation, rest]);
  for (const step of steps) groups.set(keyOf(step), [...(groups.get(keyOf(step)) ?? []), step]);
  const all = [...groups.values()].flat();
  const gains = all.filter(({ operation }) => operation === "TagResources");
  const losses = all.filter(({ operation }) => operation !== "TagResources");
  const makesRoom = (step: ChangeStep): boolean =>
    steps.slice(steps.indexOf(step)).some((later) => gains.includes(later) && ridOf(later.ref) === ridOf(step.ref));
  return [...losses.filter(makesRoom), ...gains, ...losses.filter((step) => !makesRoom(step))];
}

const TOOLS = /^(terraform|opentofu|pulumi|cdk|cloudformation|crossplane|ansible)$/i;
const MARKS = /^(managed[-_ ]?by|provisioner|created[-_ ]?by|iac|tool)$/i;

/** The program that says it manages a resource: its own word, in words of ours. */
function ownerOf(tags: Readonly<Record<string, string>>): string | null {
  for (const [key, value] of Object.entries(tags)) {
    const named = MARKS.test(key) ? TOOLS.exec(value.trim())?.[1] : TOOLS.exec(key)?.[1];
    if (named) return named.toLowerCase();
  }
  return null;
}
