// The sandbox's Cloud Control: asynchronous, patched in order with `test`, idempotent by ClientToken. ECS services with
// their task definitions, and S3 buckets.

import type { ProgressEvent } from "@aws-sdk/client-cloudcontrol";
import {
  applyPatch,
  digest,
  isObject,
  type Json,
  type JsonObject,
  type PatchOp,
  sameJson,
  valueAt,
} from "../../core/json.js";
import { type Draft, type Handler, newId, notInSandbox, paged, refusal } from "./draft.js";
import type { HandlersOf } from "./ec2.js";
import { bucket, SANDBOX_ACCOUNT, taskDefinitionArn, type WorldRequest } from "./world.js";

/** What the sandbox's AWS knows of a type: its own words, so that the product's table is not its own judge. */
interface SandboxType {
  /** Properties, joined by `|`. */
  readonly identifier: readonly string[];
  readonly readOnly: readonly string[];
  readonly writeOnly?: readonly string[];
  readonly createOnly: readonly string[];
  /** The properties a create gives, with those AWS adds. */
  complete(draft: Draft, desired: JsonObject): JsonObject;
  /** What the service checks and rewrites on any write. */
  settle?(draft: Draft, properties: JsonObject): JsonObject;
  readonly immutable?: boolean;
}

/** A request that ends FAILED, with Cloud Control's ErrorCode. */
class Failed extends Error {
  readonly errorCode: string;
  constructor(errorCode: string, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}

const held = (draft: Draft, type: string): Record<string, JsonObject> => {
  draft.here.resources[type] ??= {};
  return draft.here.resources[type];
};

function name(desired: JsonObject, property: string): string {
  const value = desired[property];
  if (typeof value === "string" && value !== "") return value;
  throw new Failed("InvalidRequest", `Model validation failed (#: required key [${property}] not found)`);
}

const TYPES: Readonly<Record<string, SandboxType>> = {
  "AWS::S3::Bucket": {
    identifier: ["BucketName"],
    readOnly: ["Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL"],
    writeOnly: ["AccessControl"],
    createOnly: ["BucketName"],
    complete: (draft, desired) => ({ ...bucket(name(desired, "BucketName"), draft.region), ...desired }),
  },
  "AWS::ECS::TaskDefinition": {
    immutable: true,
    identifier: ["TaskDefinitionArn"],
    readOnly: ["TaskDefinitionArn"],
    createOnly: [],
    complete(draft, desired) {
      const family = name(desired, "Family");
      const type = "AWS::ECS::TaskDefinition";
      // ECS gives no revision twice, whatever became of those that were registered.
      const once = Object.values(draft.here.requests).flatMap((one) => (one.type === type && one.id ? [one.id] : []));
      const taken = [...Object.keys(held(draft, type)), ...once].flatMap((arn) => {
        const [, of, revision] = /task-definition\/(.+):(\d+)$/.exec(arn) ?? [];
        return of === family ? [Number(revision)] : [];
      });
      return { ...desired, TaskDefinitionArn: taskDefinitionArn(family, Math.max(0, ...taken) + 1) };
    },
  },
  "AWS::ECS::Service": {
    identifier: ["ServiceArn", "Cluster"],
    readOnly: ["ServiceArn", "Name"],
    writeOnly: ["ForceNewDeployment", "ServiceConnectConfiguration", "VolumeConfigurations"],
    createOnly: ["Cluster", "Role", "SchedulingStrategy", "ServiceName"],
    complete(draft, desired) {
      const service = name(desired, "ServiceName");
      const cluster = typeof desired.Cluster === "string" ? desired.Cluster : "default";
      const ServiceArn = `arn:aws:ecs:${draft.region}:${SANDBOX_ACCOUNT}:service/${cluster}/${service}`;
      return { DesiredCount: 1, LaunchType: "FARGATE", ...desired, Cluster: cluster, Name: service, ServiceArn };
    },
    settle(draft, properties) {
      const wanted = name(properties, "TaskDefinition");
      const arn = Object.keys(held(draft, "AWS::ECS::TaskDefinition")).find(
        (known) => known === wanted || known.endsWith(`/${wanted}`),
      );
      if (arn === undefined) throw new Failed("InvalidRequest", "The task definition does not exist.");
      return { ...properties, TaskDefinition: arn };
    },
  },
};

function typeOf(type = ""): SandboxType {
  const found = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (!found) throw notInSandbox(`resource type ${type}`);
  return found;
}

const identifierOf = (type: string, properties: JsonObject): string =>
  typeOf(type)
    .identifier.map((property) => String(properties[property]))
    .join("|");

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    throw refusal("InvalidRequestException", "The document is not JSON.");
  }
}

function created(draft: Draft, type: string, document: string): string {
  const { complete, settle } = typeOf(type);
  const desired = parsed(document);
  if (!isObject(desired)) throw new Failed("InvalidRequest", "The desired state is not an object.");
  const full = complete(draft, desired);
  const properties = settle ? settle(draft, full) : full;
  const id = identifierOf(type, properties);
  if (held(draft, type)[id])
    throw new Failed("AlreadyExists", `Resource of type '${type}' with identifier '${id}' already exists.`);
  held(draft, type)[id] = properties;
  return id;
}

function updated(draft: Draft, type: string, id: string, document: string): void {
  const before = held(draft, type)[id];
  if (!before) throw new Failed("NotFound", `Resource of type '${type}' with identifier '${id}' was not found.`);
  const { settle, immutable, createOnly, readOnly } = typeOf(type);
  let after: Json;
  try {
    after = applyPatch(before, parsed(document) as unknown as PatchOp[]);
  } catch (cause) {
    throw new Failed("InvalidRequest", `Invalid patch update: ${(cause as Error).message}`);
  }
  if (!isObject(after)) throw new Failed("InvalidRequest", "The patched resource is not an object.");
  const moved = (property: string) => !sameJson(valueAt(before, `/${property}`), valueAt(after, `/${property}`));
  const fixed = [...createOnly, ...readOnly].find(moved);
  if (immutable || fixed !== undefined) {
    throw new Failed(
      "NotUpdatable",
      `Invalid patch update: createOnlyProperties [/properties/${fixed ?? ""}] cannot be updated`,
    );
  }
  held(draft, type)[id] = settle ? settle(draft, after) : after;
}

function deleted(draft: Draft, type: string, id: string): void {
  if (!held(draft, type)[id])
    throw new Failed("NotFound", `Resource of type '${type}' with identifier '${id}' was not found.`);
  delete held(draft, type)[id];
}

/** Lets the requests of earlier calls take effect, in the order they were made. */
export function settleRequests(draft: Draft): void {
  for (const request of Object.values(draft.here.requests)) {
    if (request.status !== "IN_PROGRESS") continue;
    const { type, id = "", document, operation } = request;
    request.at = draft.now.toISOString();
    try {
      if (operation === "CREATE") request.id = created(draft, type, document);
      else if (operation === "UPDATE") updated(draft, type, id, document);
      else deleted(draft, type, id);
      request.status = "SUCCESS";
    } catch (cause) {
      request.status = "FAILED";
      request.errorCode = cause instanceof Failed ? cause.errorCode : "InternalFailure";
      request.message = (cause as Error).message;
    }
  }
}

const eventOf = (request: WorldRequest): ProgressEvent => ({
  TypeName: request.type,
  RequestToken: request.token,
  Operation: request.operation,
  OperationStatus: request.status,
  EventTime: new Date(request.at),
  ...(request.id !== undefined && { Identifier: request.id }),
  ...(request.errorCode !== undefined && { ErrorCode: request.errorCode as NonNullable<ProgressEvent["ErrorCode"]> }),
  ...(request.message !== undefined && { StatusMessage: request.message }),
});

function submitted(
  draft: Draft,
  asked: Pick<WorldRequest, "operation" | "type" | "id" | "document">,
  clientToken = "",
): { ProgressEvent: ProgressEvent } {
  typeOf(asked.type);
  const same = Object.values(draft.here.requests).find(
    (each) => clientToken !== "" && each.clientToken === clientToken,
  );
  if (same && same.digest !== digest(asked)) {
    throw refusal("ClientTokenConflictException", "The client token was used with other parameters.");
  }
  if (same) return { ProgressEvent: eventOf(same) };
  const token = newId(draft, "request");
  const request: WorldRequest = {
    ...asked,
    token,
    clientToken,
    digest: digest(asked),
    status: "IN_PROGRESS",
    at: draft.now.toISOString(),
  };
  draft.here.requests[token] = request;
  return { ProgressEvent: eventOf(request) };
}

/** What a read shows: never what is write-only. */
function shown(type: string, id: string, properties: JsonObject) {
  const hidden = new Set(typeOf(type).writeOnly);
  const visible = Object.fromEntries(Object.entries(properties).filter(([key]) => !hidden.has(key)));
  return { Identifier: id, Properties: JSON.stringify(visible) };
}

const PAGE = 25;

export const control: HandlersOf<"cloudcontrol"> = {
  "cloudcontrol:GetResource": {
    takes: "TypeName Identifier",
    run(draft, { TypeName = "", Identifier = "" }) {
      typeOf(TypeName);
      const found = held(draft, TypeName)[Identifier];
      if (!found) {
        throw refusal(
          "ResourceNotFoundException",
          `Resource of type '${TypeName}' with identifier '${Identifier}' was not found.`,
        );
      }
      return { TypeName, ResourceDescription: shown(TypeName, Identifier, found) };
    },
  },
  "cloudcontrol:ListResources": {
    takes: "TypeName ResourceModel NextToken",
    run(draft, { TypeName = "", ResourceModel = "{}", NextToken }) {
      typeOf(TypeName);
      const model = parsed(ResourceModel);
      const wanted = Object.entries(isObject(model) ? model : {});
      const found = Object.entries(held(draft, TypeName)).filter(([, properties]) =>
        wanted.every(([key, value]) => sameJson(properties[key], value)),
      );
      const { page, ...next } = paged(found, { MaxResults: PAGE, NextToken });
      return {
        TypeName,
        ResourceDescriptions: page.map(([id, properties]) => shown(TypeName, id, properties)),
        ...next,
      };
    },
  },
  "cloudcontrol:GetResourceRequestStatus": {
    takes: "RequestToken",
    run({ here }, { RequestToken = "" }) {
      const request = here.requests[RequestToken];
      if (!request)
        throw refusal("RequestTokenNotFoundException", `Request with token ${RequestToken} was not found`, 404);
      return { ProgressEvent: eventOf(request), HooksProgressEvent: [] };
    },
  },
  "cloudcontrol:ListResourceRequests": {
    takes: "MaxResults ResourceRequestStatusFilter NextToken",
    run({ here }, { ResourceRequestStatusFilter: { OperationStatuses = [] } = {}, NextToken }) {
      const found = Object.values(here.requests).filter(
        ({ status }) => OperationStatuses.length === 0 || OperationStatuses.includes(status),
      );
      const { page, ...next } = paged(found, { MaxResults: PAGE, NextToken });
      return { ResourceRequestStatusSummaries: page.map(eventOf), ...next };
    },
  },
  "cloudcontrol:CreateResource": {
    takes: "TypeName DesiredState ClientToken",
    run: (draft, { TypeName = "", DesiredState = "", ClientToken }) =>
      submitted(draft, { operation: "CREATE", type: TypeName, document: DesiredState }, ClientToken),
  },
  "cloudcontrol:UpdateResource": {
    takes: "TypeName Identifier PatchDocument ClientToken",
    run: (draft, { TypeName = "", Identifier = "", PatchDocument = "", ClientToken }) =>
      submitted(draft, { operation: "UPDATE", type: TypeName, id: Identifier, document: PatchDocument }, ClientToken),
  },
  "cloudcontrol:DeleteResource": {
    takes: "TypeName Identifier ClientToken",
    run: (draft, { TypeName = "", Identifier = "", ClientToken }) =>
      submitted(draft, { operation: "DELETE", type: TypeName, id: Identifier, document: "" }, ClientToken),
  },
};

/** Any handler, as the dispatcher sees it. */
export type AnyHandler = Handler<object, object>;
