// Any resource type through Cloud Control: desired values in, the server makes the patch.

import { z } from "zod";
import { type ChangeStep, type ResourceRef, ridOf, type Seen } from "../src/core/change.js";
import { type ResourceSchema, sourceOf } from "../src/core/content.js";
import { decodeCursor, encodeCursor } from "../src/core/cursor.js";
import { OpsError } from "../src/core/errors.js";
import { type JsonObject, redact, sameJson, valueAt } from "../src/core/json.js";
import type { AwsReader } from "../src/core/ports.js";
import { firstPosition, type Position, textPage } from "../src/core/shown.js";
import { OPERATION_MARK, type Tags, tagsOf, withTags } from "../src/core/tags.js";
import { domain, plan, read } from "../src/core/tool.js";
import { updateStep } from "../state/converge.js";
import { envelopeAt } from "../state/envelopes.js";
import { mergeDesired, patchFor } from "../state/patch.js";

const Type = z
  .string()
  .regex(/^[A-Za-z0-9]+::[A-Za-z0-9]+::[A-Za-z0-9]+(::MODULE)?$/, "must look like AWS::S3::Bucket")
  .describe("CloudFormation type, e.g. AWS::S3::Bucket");
const Identifier = z.string().min(1).max(1024).describe("Primary identifier, parts joined by |");
const Properties = z.record(z.string(), z.unknown());

const isGlobal = (type: string): boolean => /^AWS::(IAM|CloudFront|Route53|Organizations)::/.test(type);

const refOf = (aws: AwsReader, type: string, id: string): ResourceRef => ({
  account: aws.account,
  region: isGlobal(type) ? "global" : aws.region,
  type,
  id,
});

const seenOf = (aws: AwsReader, type: string, id: string, content: JsonObject): Seen => ({
  ref: refOf(aws, type, id),
  reader: "cloudcontrol",
  content,
});

const list = read({
  title: "List resources of a type",
  description:
    "Resources of one type through Cloud Control, with the properties its list handler gives. Some types need parent fields in `model`; resources.schema names them. For a full content and revision use resources.get.",
  scope: "region",
  foreignText: true,
  input: z.object({
    type: Type,
    model: Properties.optional().describe("Parent fields some types need"),
    cursor: z.string().optional(),
  }),
  output: z.object({
    type: z.string(),
    count: z.number(),
    resources: z.array(z.object({ identifier: z.string(), properties: Properties })),
    nextCursor: z.string().optional(),
  }),
  everywhere: { rows: "resources", sum: ["count"], global: ({ type }) => isGlobal(String(type)) },
  async run({ type, model, cursor }, { aws, now }) {
    const schema = await aws.schema(type);
    const missing = missingOf(schema, model);
    if (missing) throw listNeeds(type, missing);
    const scope = { type, model, account: aws.account, region: aws.region };
    const page = await aws
      .resources(type, model as JsonObject | undefined, cursor && decodeCursor(cursor, scope, now))
      .catch((error: unknown) => {
        const [, named = ""] = (error instanceof OpsError && NAMED_FIELD.exec(String(error.details.awsMessage))) || [];
        // What a handler says is taken for a name only where the schema knows it.
        throw error instanceof OpsError && Object.hasOwn(schema.properties, named)
          ? listNeeds(type, [named], error)
          : error;
      });
    return {
      data: {
        type,
        count: page.items.length,
        resources: page.items.map(({ id, properties }) => ({ identifier: id, properties })),
        ...(page.next ? { nextCursor: encodeCursor(page.next, scope, now) } : {}),
      },
      listed: page.items.map(({ id, properties }) => seenOf(aws, type, id, properties)),
      complete: !page.next && !cursor,
    };
  },
});

/** How Cloud Control names a field that a list handler misses. */
const NAMED_FIELD = /Required property: \[#?\/?([A-Za-z0-9]+)/;

/** The fields a list needs and was not given: all of `listRequires`, and all of one of the alternatives. */
function missingOf(
  { listRequires, listRequiresOneOf = [] }: ResourceSchema,
  model: Readonly<Record<string, unknown>> = {},
): readonly string[] | null {
  const lacks = (fields: readonly string[]) => fields.filter((field) => (model[field] ?? "") === "");
  const missing = lacks(listRequires);
  if (missing.length > 0) return missing;
  const alternatives = listRequiresOneOf.map(lacks);
  return alternatives.length === 0 || alternatives.some((fields) => fields.length === 0) ? null : alternatives[0]!;
}

const listNeeds = (type: string, [field = "", ...more]: readonly string[], cause?: OpsError): OpsError =>
  new OpsError("validation_error", `Listing ${type} needs ${[field, ...more].join(", ")} in \`model\`: its parent.`, {
    field: `model.${field}`,
    ...(cause && { details: cause.details, cause }),
  });

const get = read({
  title: "Get a resource",
  description:
    "One resource of any Cloud Control type, live, with its revision. Read it before any change. Long texts go on in pages (`nextCursor`).",
  scope: "region",
  foreignText: true,
  input: z.object({ type: Type, identifier: Identifier, cursor: z.string().optional() }),
  output: z.object({
    revision: z.string(),
    type: z.string(),
    identifier: z.string(),
    properties: Properties.optional(),
    nextCursor: z.string().optional(),
  }),
  async run({ type, identifier, cursor }, { aws, ledger, now, revision }) {
    const properties = await existing(aws, type, identifier);
    const seen = seenOf(aws, type, identifier, properties);
    const revised = revision(seen);
    const scope = { type, identifier, account: aws.account, region: aws.region };
    const position = cursor && (JSON.parse(decodeCursor(cursor, scope, now)) as Position);
    const known = ledger.seen(revised);
    // A page continues only what showed this very content; what moved in between begins anew.
    const isContinued = known && !known.shown && sameJson(known.content, properties);
    const legible = redact(properties) as JsonObject;
    const page = position && isContinued ? textPage(legible, position, known.cutOff) : undefined;
    const next = page ? page.next : firstPosition(legible);
    return {
      data: {
        ...{ revision: revised, type, identifier },
        ...(page ? page.data : { properties }),
        ...(next ? { nextCursor: encodeCursor(JSON.stringify(next), scope, now) } : {}),
      },
      seen: [{ ...seen, ...(page && { cutOff: page.cutOff }) }],
    };
  },
});

const schema = read({
  title: "Get a resource type's schema",
  description:
    "The schema of a type, trimmed: identifier, required, create-only, read-only and write-only properties, and each top-level property in a line. Also references, time limits and what may replace. `source` says whether it is AWS's registry or the table shipped with this version, which is less certain.",
  scope: "region",
  foreignText: false,
  input: z.object({ type: Type }),
  output: z.object({ schema: z.record(z.string(), z.unknown()) }),
  async run({ type }, { aws }) {
    const facts = await aws.schema(type);
    return { data: { schema: { ...facts, ...sourceOf(facts) } as unknown as JsonObject } };
  },
});

const create = plan({
  title: "Plan creating a resource",
  description:
    "Plan a new resource of any Cloud Control type from its properties. See resources.schema for what it needs.",
  scope: "region",
  basedOn: "none",
  input: z.object({ type: Type, properties: Properties }),
  async propose({ type, properties }, { aws, mode }) {
    const facts = await aws.schema(type);
    const desired = withTags(properties as JsonObject, facts.tags, mode.defaultTags ?? {});
    const missing = facts.required.find((name) => !(name in desired));
    if (missing)
      throw new OpsError("validation_error", `${type} needs ${missing}.`, { field: `properties.${missing}` });
    refuseReadOnly(facts, desired);
    const parts = facts.primaryIdentifier.map((pointer) => valueAt(desired, pointer));
    const id = parts.length > 0 && parts.every((part) => typeof part === "string") ? parts.join("|") : "";
    if (id && (await aws.resource(type, id))) {
      throw new OpsError(
        "already_exists",
        `${type} ${id} exists already and is never overwritten. Read it, then plan an update.`,
        {
          field: "properties",
          next: [{ tool: "resources.get", arguments: { type, identifier: id, region: aws.region } }],
        },
      );
    }
    const step: ChangeStep = {
      service: "cloudcontrol",
      operation: "CreateResource",
      input: { TypeName: type, DesiredState: mode.defaultTags ? withTags(desired, facts.tags, MARK) : desired },
      ref: refOf(aws, type, id),
      reader: "cloudcontrol",
      kind: "create",
      before: null,
      after: desired,
      touches: [""],
      desired,
    };
    const tagsAdded = added(properties as JsonObject, desired);
    return {
      summary: `Create ${type}${id ? ` ${id}` : ""}`,
      steps: [step],
      warnings: [...sourceWarning(facts), ...unreadableWarning(facts)],
      facts: { schema: sourceOf(facts), ...(Object.keys(tagsAdded).length > 0 ? { tagsAdded } : {}) },
    };
  },
});

const update = plan({
  title: "Plan updating a resource",
  description:
    "Plan an update from desired values: what you name is set, null removes, the rest stays. The server makes the patch. Create-only differences are refused: they need a replacement.",
  scope: "region",
  basedOn: "one",
  input: z.object({ type: Type, identifier: Identifier, properties: Properties.describe("Only what shall change") }),
  async propose({ type, identifier, properties }, { aws, state }) {
    const live = await existing(aws, type, identifier);
    const facts = await aws.schema(type);
    const desired = properties as JsonObject;
    refuseReadOnly(facts, desired);
    const managed = state.resources.get(ridOf(refOf(aws, type, identifier)));
    const target = mergeDesired(live, desired, facts);
    const patch = patchFor({
      live,
      target,
      desired,
      schema: facts,
      ...(managed ? { declaredBefore: managed.desired } : {}),
      stored: (path, print) => envelopeAt(managed?.envelopes, path, print) !== undefined,
    });
    if (patch.replacements.length > 0) {
      throw replacement(
        facts,
        identifier,
        patch.replacements,
        mergeDesired(managed?.desired ?? {}, desired, facts),
        aws,
      );
    }
    if (patch.noChange) {
      throw new OpsError("nothing_to_change", `${type} ${identifier} already is as asked.`, { field: "properties" });
    }
    if (patch.needsSecret.length > 0) throw dropsSecret(type, patch.needsSecret);
    const step = updateStep({ ref: refOf(aws, type, identifier), live, target, desired, patch: patch.patch });
    return {
      summary: `Update ${type} ${identifier}`,
      steps: [step],
      warnings: [
        ...sourceWarning(facts),
        ...(facts.writeOnlyKnown === false && facts.source !== "none"
          ? [`Which properties of ${type} AWS never shows is not known here: an update may drop what they hold.`]
          : []),
        ...patch.conditional.map(
          (path) => `Possible interruption or replacement: AWS may replace ${type} for ${path}.`,
        ),
        ...patch.givenUp.map((path) => `${path} is given up: AWS keeps only one of its kind.`),
      ],
      facts: { schema: sourceOf(facts) },
    };
  },
});

const remove = plan({
  title: "Plan deleting a resource",
  description:
    "Plan a deletion, which cannot be undone; data in it is gone. A rollback can only create an empty one again.",
  scope: "region",
  basedOn: "one",
  input: z.object({ type: Type, identifier: Identifier }),
  async propose({ type, identifier }, { aws }) {
    const live = await existing(aws, type, identifier);
    const facts = await aws.schema(type);
    const step: ChangeStep = {
      service: "cloudcontrol",
      operation: "DeleteResource",
      input: { TypeName: type, Identifier: identifier },
      ref: refOf(aws, type, identifier),
      reader: "cloudcontrol",
      kind: "delete",
      before: live,
      after: null,
      touches: [""],
    };
    return {
      summary: `Delete ${type} ${identifier}`,
      steps: [step],
      warnings: facts.stateful ? [`${type} holds data. Cloud Control takes no backup before it deletes.`] : [],
      facts: { schema: sourceOf(facts) },
    };
  },
});

const dropsSecret = (type: string, paths: readonly string[]): OpsError =>
  new OpsError(
    "validation_error",
    `An update of ${type} drops ${paths.join(", ")} unless it is repeated: AWS never shows the value and it is not stored here. Nothing was planned. Ask the user for it and give it in \`properties\`, or null to let it go.`,
    { field: `properties${paths[0]}`, details: { needsSecret: [...paths] } },
  );

async function existing(aws: AwsReader, type: string, identifier: string): Promise<JsonObject> {
  const properties = await aws.resource(type, identifier);
  if (properties) return properties;
  throw new OpsError("not_found", `AWS has no such ${type} in account ${aws.account}, ${aws.region}.`, {
    field: "identifier",
    next: [{ tool: "resources.list", arguments: { type, region: aws.region } }],
  });
}

function refuseReadOnly(facts: ResourceSchema, desired: JsonObject): void {
  if (JSON.stringify(desired).includes('"$secret"')) {
    throw new OpsError(
      "validation_error",
      "A `$secret` is this server's mark for a value it does not show, and no value. Give the value itself.",
      {
        field: "properties",
      },
    );
  }
  const given = facts.readOnly.find((pointer) => valueAt(desired, pointer) !== undefined);
  if (given)
    throw new OpsError("validation_error", `${given} is set by AWS and cannot be given.`, {
      field: `properties${given}`,
    });
  const names = Object.keys(facts.properties);
  const unknown = names.length > 0 ? Object.keys(desired).find((name) => !names.includes(name)) : undefined;
  if (unknown && facts.source === "registry") {
    throw new OpsError("validation_error", `${facts.type} has no property ${unknown}. resources.schema lists them.`, {
      field: `properties.${unknown}`,
      details: { properties: names },
    });
  }
}

/** The mark whose value the executor fills in: by it a create whose answer was lost is found again. */
const MARK: Tags = { [OPERATION_MARK]: "" };

function added(given: JsonObject, desired: JsonObject): JsonObject {
  const own = tagsOf(given);
  return Object.fromEntries(Object.entries(tagsOf(desired)).filter(([key]) => !Object.hasOwn(own, key)));
}

/** No patch sets a create-only property: the way is a new resource, then the old one's deletion, each its own plan. */
function replacement(
  { type, primaryIdentifier, stateful }: ResourceSchema,
  identifier: string,
  paths: readonly string[],
  properties: JsonObject,
  aws: AwsReader,
): OpsError {
  const named = primaryIdentifier.some((path) => valueAt(properties, path) !== undefined && !paths.includes(path));
  const data = stateful ? " Its data does not move with it." : "";
  return new OpsError(
    "replacement_needed",
    `${paths.join(", ")} of ${type} can only be set when it is created. Nothing was planned: this is a replacement. Create the new resource${named ? " under another name" : ""}, move to it what uses the old one, then delete the old one.${data}`,
    {
      field: `properties${paths[0]}`,
      details: { createOnly: paths, ...(stateful && { stateful }) },
      next: [
        { tool: "resources.create", arguments: { type, properties, region: aws.region } },
        { tool: "resources.delete", arguments: { type, identifier, region: aws.region } },
      ],
    },
  );
}

const sourceWarning = (facts: ResourceSchema): string[] =>
  facts.source === "registry"
    ? []
    : [
        `The schema of ${facts.type} is ${facts.source === "none" ? "not known here" : "the one shipped with this version"}, not the one of AWS's registry: AWS itself may refuse the plan.`,
      ];

const unreadableWarning = ({ type, unreadable }: ResourceSchema): string[] =>
  unreadable
    ? [`AWS offers no way to read a ${type}: what is made cannot be verified, changed or rolled back from here.`]
    : [];

export const resources = domain("resources", { list, get, schema, create, update, delete: remove }, [
  "list",
  "get",
  "schema",
  "create",
  "update",
  "delete",
]);
