// The sole writer. Every operation that changes AWS is one row of the table below, and its name stands nowhere else in
// the product. A step without a row is refused.

import type {
  CancelResourceRequestInput,
  CancelResourceRequestOutput,
  CreateResourceInput,
  CreateResourceOutput,
  DeleteResourceInput,
  DeleteResourceOutput,
  UpdateResourceInput,
  UpdateResourceOutput,
} from "@aws-sdk/client-cloudcontrol";
import type {
  AuthorizeSecurityGroupEgressRequest,
  AuthorizeSecurityGroupEgressResult,
  AuthorizeSecurityGroupIngressRequest,
  AuthorizeSecurityGroupIngressResult,
  CreateTagsRequest,
  DeleteTagsRequest,
  Reservation,
  RevokeSecurityGroupEgressRequest,
  RevokeSecurityGroupEgressResult,
  RevokeSecurityGroupIngressRequest,
  RevokeSecurityGroupIngressResult,
  RunInstancesRequest,
  TerminateInstancesRequest,
  TerminateInstancesResult,
  UpdateSecurityGroupRuleDescriptionsEgressRequest,
  UpdateSecurityGroupRuleDescriptionsEgressResult,
  UpdateSecurityGroupRuleDescriptionsIngressRequest,
  UpdateSecurityGroupRuleDescriptionsIngressResult,
} from "@aws-sdk/client-ec2";
import type { ChangeStep } from "../core/change.js";
import { OpsError } from "../core/errors.js";
import { isObject, type Json, type JsonObject, sha256 } from "../core/json.js";
import type { AwsWriter, Clock, Idempotency } from "../core/ports.js";
import { OPERATION_MARK, tagsOf, withMark } from "../core/tags.js";
import type { Answered, Api, ReadOperations } from "./api.js";
import { getResource, listResources, requestAtWork, requestInFlight, requestProgress } from "./control.js";
import { foreign } from "./foreign.js";
import { allPages } from "./pages.js";

export interface WriteOperations {
  "ec2:RunInstances": [RunInstancesRequest, Reservation];
  "ec2:TerminateInstances": [TerminateInstancesRequest, TerminateInstancesResult];
  "ec2:AuthorizeSecurityGroupIngress": [AuthorizeSecurityGroupIngressRequest, AuthorizeSecurityGroupIngressResult];
  "ec2:AuthorizeSecurityGroupEgress": [AuthorizeSecurityGroupEgressRequest, AuthorizeSecurityGroupEgressResult];
  "ec2:RevokeSecurityGroupIngress": [RevokeSecurityGroupIngressRequest, RevokeSecurityGroupIngressResult];
  "ec2:RevokeSecurityGroupEgress": [RevokeSecurityGroupEgressRequest, RevokeSecurityGroupEgressResult];
  "ec2:UpdateSecurityGroupRuleDescriptionsIngress": [
    UpdateSecurityGroupRuleDescriptionsIngressRequest,
    UpdateSecurityGroupRuleDescriptionsIngressResult,
  ];
  "ec2:UpdateSecurityGroupRuleDescriptionsEgress": [
    UpdateSecurityGroupRuleDescriptionsEgressRequest,
    UpdateSecurityGroupRuleDescriptionsEgressResult,
  ];
  "ec2:CreateTags": [CreateTagsRequest, object];
  "ec2:DeleteTags": [DeleteTagsRequest, object];
  "cloudcontrol:CreateResource": [CreateResourceInput, CreateResourceOutput];
  "cloudcontrol:UpdateResource": [UpdateResourceInput, UpdateResourceOutput];
  "cloudcontrol:DeleteResource": [DeleteResourceInput, DeleteResourceOutput];
  "cloudcontrol:CancelResourceRequest": [CancelResourceRequestInput, CancelResourceRequestOutput];
}

/** Reads and writes: held by the executor, and by the demo's outsider on the sandbox. */
export type WholeApi = Api<ReadOperations> & Api<WriteOperations>;

type WriteName = keyof WriteOperations;
type Output<N extends WriteName> = WriteOperations[N][1] & Answered;
type Op = Parameters<AwsWriter["send"]>[1];

interface Row<N extends WriteName> {
  readonly idempotency: Idempotency;
  /** EC2 can be asked whether it would accept the call. */
  readonly dryRun: boolean;
  /** The step's input as it goes over the wire under an operation. */
  readonly input: (input: JsonObject, op: Op) => JsonObject;
  /** The ids of the resources it made or changed, of the type of the step. */
  readonly identifiers: (output: Output<N>, input: JsonObject) => readonly (string | undefined)[];
  readonly requestToken?: (output: Output<N>) => string | undefined;
  /** What an operation of this id made, by the mark it left; null where that cannot be said. */
  readonly find?: (api: WholeApi, op: Op, input: JsonObject) => Promise<readonly string[] | null>;
}

const asIs = (input: JsonObject): JsonObject => input;
/** A new request gets a token that follows from the operation's, so that whoever settles it later sends the same. */
const requestTokenOf = ({ clientToken, attempt = 0 }: Op): string =>
  attempt === 0 ? clientToken : sha256(`${clientToken}/${attempt}`).slice(0, 32);
const withToken = (input: JsonObject, op: Op): JsonObject => ({ ...input, ClientToken: requestTokenOf(op) });
const listed = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
const ids = (value: Json | undefined): string[] => listed(value).filter((id): id is string => typeof id === "string");

/** Tags at creation, with our mark among those of the instances. */
function marked(input: JsonObject, op: Op): JsonObject {
  const mark = { Key: OPERATION_MARK, Value: op.clientToken };
  const given = listed(input.TagSpecifications);
  const instance = given.find((spec) => isObject(spec) && spec.ResourceType === "instance");
  const tags = isObject(instance) ? listed(instance.Tags) : [];
  // A specification without tags is refused by EC2.
  const others = given.filter((spec) => spec !== instance && isObject(spec) && listed(spec.Tags).length > 0);
  return { ...input, TagSpecifications: [...others, { ResourceType: "instance", Tags: [...tags, mark] }] };
}

/** A desired state planned with a mark gets this operation's. */
const bearing = (input: JsonObject, op: Op): JsonObject =>
  isObject(input.DesiredState) ? { ...input, DesiredState: withMark(input.DesiredState, op.clientToken) } : input;

/** Documents travel as text in Cloud Control. */
const asText = (input: JsonObject, ...names: readonly string[]): JsonObject =>
  Object.fromEntries(
    Object.entries(input).map(([name, value]) =>
      names.includes(name) && typeof value !== "string" ? [name, JSON.stringify(value)] : [name, value],
    ),
  );

/** By the tag; by the token only where no tag is seen, for tags may show later than the instances that bear them. */
async function launchedBy(api: WholeApi, op: Op): Promise<readonly string[]> {
  const by = async (Name: string, value: string): Promise<string[]> => {
    const found = await allPages(
      (NextToken) =>
        api.call("ec2", "DescribeInstances", {
          Filters: [{ Name, Values: [value] }],
          ...(NextToken && { NextToken }),
        }),
      (output) => output.Reservations?.flatMap(({ Instances = [] }) => Instances),
      (output) => output.NextToken,
    );
    return found.flatMap(({ InstanceId }) => (InstanceId ? [InstanceId] : [])).sort();
  };
  const tagged = await by(`tag:${OPERATION_MARK}`, op.clientToken);
  return tagged.length > 0 ? tagged : by("client-token", op.clientToken);
}

/** Resources of a type looked at one by one for a mark, at most. */
const MOST_LOOKED_AT = 50;

/**
 * By the mark among the resources of the type. Not finding it proves nothing: not every read shows tags, and some types
 * cannot be listed without a parent.
 */
async function createdBy(
  api: WholeApi,
  op: Op,
  { TypeName, DesiredState }: JsonObject,
): Promise<readonly string[] | null> {
  const type = String(TypeName);
  if (!isObject(DesiredState) || tagsOf(DesiredState)[OPERATION_MARK] === undefined) return null;
  const bears = (properties: JsonObject | null): boolean =>
    properties !== null && tagsOf(properties)[OPERATION_MARK] === op.clientToken;
  let cursor: string | undefined;
  let looked = 0;
  do {
    const page = await listResources(api, type, undefined, cursor);
    for (const { id, properties } of page.items) {
      if (bears(properties)) return [id];
      if (looked++ >= MOST_LOOKED_AT) return null;
      if (bears(await getResource(api, type, id))) return [id];
    }
    cursor = page.next;
  } while (cursor !== undefined);
  return null;
}

/** A call whose target is a state; EC2 refuses what is already so, and the target is read before it is sent again. */
const NATURAL = { idempotency: "natural", dryRun: true, input: asIs } as const;
const ON_A_GROUP = {
  ...NATURAL,
  identifiers: (_: unknown, input: JsonObject) => ids([input.GroupId ?? null]),
} as const;
const TAGS = { ...NATURAL, identifiers: (_: unknown, input: JsonObject) => ids(input.Resources) } as const;

const PROGRESS = {
  idempotency: "token",
  dryRun: false,
  identifiers: ({ ProgressEvent }: CreateResourceOutput) => [ProgressEvent?.Identifier],
  requestToken: ({ ProgressEvent }: CreateResourceOutput) => ProgressEvent?.RequestToken,
} as const;

const WRITES: { readonly [N in WriteName]: Row<N> } = {
  "ec2:RunInstances": {
    idempotency: "token",
    dryRun: true,
    input: (input, op) => marked(withToken(input, op), op),
    identifiers: ({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId),
    find: launchedBy,
  },
  "ec2:TerminateInstances": {
    ...NATURAL,
    identifiers: ({ TerminatingInstances = [] }) => TerminatingInstances.map(({ InstanceId }) => InstanceId),
  },
  "ec2:AuthorizeSecurityGroupIngress": ON_A_GROUP,
  "ec2:AuthorizeSecurityGroupEgress": ON_A_GROUP,
  "ec2:RevokeSecurityGroupIngress": ON_A_GROUP,
  "ec2:RevokeSecurityGroupEgress": ON_A_GROUP,
  "ec2:UpdateSecurityGroupRuleDescriptionsIngress": ON_A_GROUP,
  "ec2:UpdateSecurityGroupRuleDescriptionsEgress": ON_A_GROUP,
  "ec2:CreateTags": TAGS,
  "ec2:DeleteTags": TAGS,
  "cloudcontrol:CreateResource": {
    ...PROGRESS,
    input: (input, op) => asText(withToken(bearing(input, op), op), "DesiredState"),
    find: createdBy,
  },
  "cloudcontrol:UpdateResource": {
    ...PROGRESS,
    input: (input, op) => asText(withToken(input, op), "PatchDocument"),
  },
  "cloudcontrol:DeleteResource": { ...PROGRESS, input: withToken },
  "cloudcontrol:CancelResourceRequest": { ...PROGRESS, idempotency: "natural", input: asIs },
};

/** A row as the code below uses it: the table has checked it against its own operation. */
type AnyRow = Row<WriteName> & {
  readonly identifiers: (output: object, input: JsonObject) => readonly (string | undefined)[];
  readonly requestToken?: (output: object) => string | undefined;
};

type Untyped = (
  service: string,
  operation: string,
  input: JsonObject,
  options?: { readonly signal?: AbortSignal },
) => Promise<object>;

/** A step's input is data of a plan; AWS itself checks it. */
const untyped = (api: WholeApi): Untyped => api.call as unknown as Untyped;

function rowOf({ service, operation }: ChangeStep): AnyRow {
  const name = `${service}:${operation}`;
  if (!Object.hasOwn(WRITES, name)) {
    throw new OpsError("internal", "The plan holds a call that the executor has no row for; nothing was sent.", {
      details: { call: foreign(name, 80) },
    });
  }
  return WRITES[name as WriteName] as AnyRow;
}

/** The names of all writes there are, for tests and for IAM hints. */
export const writeNames = (): readonly string[] => Object.keys(WRITES);

/** A dry run is checked with the marks the real call will carry: they need permissions of their own. */
const NO_OPERATION: Op = { id: "dry-run", clientToken: "" };

/** Asks AWS whether a step would be accepted. Resolves when it would, or when the service has no such question. */
export async function preflight(api: WholeApi, step: ChangeStep): Promise<void> {
  const row = rowOf(step);
  if (!row.dryRun) return;
  const { ClientToken: _, ...input } = row.input(step.input, NO_OPERATION);
  try {
    await untyped(api)(step.service, step.operation, { ...input, DryRun: true });
  } catch (error) {
    if (error instanceof OpsError && error.details.awsCode === "DryRunOperation") return;
    throw error;
  }
  throw new OpsError(
    "aws_failed",
    "The endpoint in use took a dry run for a real call and may have carried it out. Read the resource, and do not use this endpoint.",
    { details: { service: step.service, operation: step.operation } },
  );
}

/** Pauses before a throttled call goes out again, beyond the SDK's own attempts; the input, and so the token, is the same. */
const THROTTLE_PAUSES_MS = [2_000, 4_000, 8_000];

async function patiently(clock: Clock, call: () => Promise<object & Answered>): Promise<object & Answered> {
  for (const pause of THROTTLE_PAUSES_MS) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== "throttled") throw error;
      await clock.sleep(pause);
    }
  }
  return call();
}

/** Who else is at work on the resource of a step; null where AWS does not say. */
const inFlightOn = (api: WholeApi, { service, ref }: ChangeStep) =>
  service === "cloudcontrol" && ref.id !== ""
    ? requestInFlight(api, ref.type, ref.id).catch(() => null)
    : Promise.resolve(null);

async function withInFlight(api: WholeApi, step: ChangeStep, error: unknown): Promise<unknown> {
  if (!(error instanceof OpsError) || error.code !== "resource_busy") return error;
  const inFlight = await inFlightOn(api, step);
  if (!inFlight) return error;
  return new OpsError(error.code, error.message, { details: { ...error.details, inFlight }, cause: error });
}

export function executor(api: WholeApi, clock: Clock): AwsWriter {
  return {
    idempotency: (step) => rowOf(step).idempotency,
    async send(step, op, signal) {
      const row = rowOf(step);
      if (signal?.aborted) {
        throw new OpsError("aws_unavailable", "The call was cancelled before it was sent; nothing was changed.");
      }
      const output = await patiently(clock, () =>
        untyped(api)(step.service, step.operation, row.input(step.input, op), signal && { signal }),
      ).catch(async (error: unknown) => {
        throw await withInFlight(api, step, error);
      });
      const requestToken = row.requestToken?.(output);
      const awsRequestId = output.$metadata?.requestId;
      return {
        identifiers: row.identifiers(output, step.input).filter((id): id is string => id !== undefined && id !== ""),
        ...(requestToken !== undefined && { requestToken }),
        ...(awsRequestId !== undefined && { awsRequestId: foreign(awsRequestId, 80) }),
      };
    },
    async poll(step, requestToken) {
      const progress = await requestProgress(api, requestToken, step.kind, clock.now());
      if (progress.code !== "resource_busy") return progress;
      const inFlight = await inFlightOn(api, step);
      return inFlight ? { ...progress, inFlight } : progress;
    },
    async find(step, op) {
      const { find } = rowOf(step);
      return find ? find(api, op, step.input) : null;
    },
    atWork: async ({ service, kind, ref }) => service === "cloudcontrol" && requestAtWork(api, kind, ref.type, ref.id),
  };
}
