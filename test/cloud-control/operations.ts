// The eight operations over a world, its requests and its rules. Pure of transport: input in, output or CloudControlError out.
import { CloudControlError } from "./errors.js";
import { PatchError, type PatchOperation, type Properties, patched, stable } from "./json.js";
import { born, checkCreate, checkUpdate, factsOf, identifierOf, identity, invalid, visible } from "./model.js";
import type { End, Plan, ProgressEvent, Requests } from "./requests.js";
import type { Kind, Operation, Rule, RuleBook } from "./rules.js";
import type { Action, Place, TypeFacts } from "./types.js";
import type { World } from "./world.js";

export interface Account {
  readonly world: World;
  readonly requests: Requests;
  readonly rules: RuleBook;
  /** Status calls a write takes when no rule says otherwise. */
  readonly polls: number;
}

export interface Input {
  readonly TypeName?: string;
  readonly Identifier?: string;
  readonly ClientToken?: string;
  readonly DesiredState?: string;
  readonly PatchDocument?: string;
  readonly ResourceModel?: string;
  readonly RequestToken?: string;
  readonly NextToken?: string;
  readonly MaxResults?: number;
  readonly ResourceRequestStatusFilter?: {
    readonly Operations?: readonly string[];
    readonly OperationStatuses?: readonly string[];
  };
}

export interface Output {
  readonly body: object;
  readonly loseReply: boolean;
}

type Taken = { readonly [K in Kind]?: Rule };

const afterwards: readonly Kind[] = ["loseReply"];
const ofWrites: readonly Kind[] = [
  "errorCode",
  "polls",
  "pending",
  "retryAfterSeconds",
  "earlyIdentifier",
  "notFoundReads",
  "hook",
  "loseReply",
];

export function perform(operation: Operation, input: Input, place: Place, account: Account): Output {
  const call = { operation, type: input.TypeName, identifier: input.Identifier };
  const plain = (body: object): Output => ({ body, loseReply: !!account.rules.take(call, afterwards).loseReply });
  switch (operation) {
    case "GetResource":
      return plain(getResource(input, place, account));
    case "ListResources":
      return plain(listResources(input, place, account));
    case "GetResourceRequestStatus": {
      const { event, hooks } = account.requests.status(place, needed(input, "RequestToken"));
      return plain({ ProgressEvent: event, ...(hooks.length > 0 && { HooksProgressEvent: hooks }) });
    }
    case "CancelResourceRequest":
      return plain({ ProgressEvent: account.requests.cancel(place, needed(input, "RequestToken")) });
    case "ListResourceRequests":
      return plain(listRequests(input, place, account));
    default: {
      const digest = stable({ operation, ...(input as Properties), ClientToken: null });
      const known = input.ClientToken && account.requests.replay(place, input.ClientToken, digest);
      if (known) return plain({ ProgressEvent: known });
      const prepare = { CreateResource: create, UpdateResource: update, DeleteResource: remove }[operation];
      const planned = prepare(input, place, account);
      const rules = account.rules.take(call, ofWrites);
      const event = account.requests.submit(planned(rules), input.ClientToken, digest);
      return { body: { ProgressEvent: event }, loseReply: !!rules.loseReply };
    }
  }
}

type Prepared = (rules: Taken) => Plan;

function create(input: Input, place: Place, { world, polls }: Account): Prepared {
  const facts = handling(input, "create");
  const typeName = input.TypeName!;
  const desired = parsed<Properties>(needed(input, "DesiredState"), "DesiredState");
  checkCreate(facts, desired);
  const properties = born(facts, desired, world.birth(place));
  const identifier = identifierOf(facts, properties);
  const isNamed = facts.identifier.every((name) => Object.hasOwn(desired, name));
  return (rules) => ({
    ...pace(rules, polls),
    ...{ place, typeName, operation: "CREATE", subject: identifier },
    tellsSubject: isNamed || !!rules.earlyIdentifier,
    end: () => {
      if (rules.errorCode) {
        if (rules.errorCode.remnant) world.store(typeName, properties, place);
        return failure(rules.errorCode, rules.errorCode.withIdentifier ? identifier : undefined);
      }
      if (world.get(typeName, identifier, place)) {
        const message = `${typeName} with identifier ${identifier} already exists.`;
        return { ok: false, errorCode: "AlreadyExists", message };
      }
      world.store(typeName, properties, place, rules.notFoundReads?.notFoundReads);
      return success(facts, identifier);
    },
  });
}

/** Reads through the read handler, patches, validates, and only then starts: a patch that does not fit changes nothing. */
function update(input: Input, place: Place, { world, polls }: Account): Prepared {
  const facts = handling(input, "update");
  const typeName = input.TypeName!;
  const identifier = needed(input, "Identifier");
  const patch = parsed<PatchOperation[]>(needed(input, "PatchDocument"), "PatchDocument");
  if (!Array.isArray(patch) || patch.length === 0) throw invalid("PatchDocument must hold at least one operation.");
  const stored = world.read(typeName, identifier, place);
  if (!stored) throw absent(typeName, identifier);
  const before = visible(facts, stored, world.isBackwards(typeName, identifier, place));
  const desired = applied(before, patch);
  checkUpdate(facts, before, desired);
  return (rules) => ({
    ...pace(rules, polls),
    ...{ place, typeName, operation: "UPDATE", subject: identifier, tellsSubject: true },
    end: () => {
      if (rules.errorCode) return failure(rules.errorCode, identifier);
      if (!world.get(typeName, identifier, place)) return missing(typeName, identifier);
      world.store(typeName, desired, place);
      return success(facts, identifier);
    },
  });
}

function remove(input: Input, place: Place, { world, polls }: Account): Prepared {
  const facts = handling(input, "delete");
  const typeName = input.TypeName!;
  const identifier = needed(input, "Identifier");
  return (rules) => ({
    ...pace(rules, polls),
    ...{ place, typeName, operation: "DELETE", subject: identifier, tellsSubject: true },
    end: () => {
      if (rules.errorCode) return failure(rules.errorCode, identifier);
      if (!world.remove(typeName, identifier, place)) return missing(typeName, identifier);
      return success(facts, identifier);
    },
  });
}

function getResource(input: Input, place: Place, { world }: Account): object {
  const facts = handling(input, "read");
  const identifier = needed(input, "Identifier");
  const found = world.read(input.TypeName!, identifier, place);
  if (!found) throw absent(input.TypeName!, identifier);
  const Properties = JSON.stringify(visible(facts, found, world.isBackwards(input.TypeName!, identifier, place)));
  return { TypeName: input.TypeName, ResourceDescription: { Identifier: identifier, Properties } };
}

/** Pages of 25 whatever MaxResults says; identifiers and little else. */
function listResources(input: Input, place: Place, { world }: Account): object {
  const facts = handling(input, "list");
  const model = input.ResourceModel ? parsed<Properties>(input.ResourceModel, "ResourceModel") : {};
  const lacking = (facts.listNeeds ?? []).filter((name) => !Object.hasOwn(model, name));
  if (lacking.length > 0) {
    const where = `ResourceModel property in ${input.TypeName} list handler request input`;
    throw new CloudControlError(
      "InvalidRequestException",
      `Missing or invalid ${where}. Required property: [${lacking}]`,
    );
  }
  const fits = (identifier: string) => {
    const properties = world.get(input.TypeName!, identifier, place)!;
    return Object.entries(model).every(([name, value]) => stable(properties[name] ?? null) === stable(value));
  };
  const found = world.identifiers(input.TypeName!, place).filter(fits);
  const { items, NextToken } = page(found, 25, input.NextToken);
  const ResourceDescriptions = items.map((identifier) => ({
    Identifier: identifier,
    Properties: JSON.stringify(identity(facts, identifier)),
  }));
  return { TypeName: input.TypeName, ResourceDescriptions, NextToken };
}

function listRequests(input: Input, place: Place, { requests }: Account): object {
  const { Operations, OperationStatuses } = input.ResourceRequestStatusFilter ?? {};
  const fits = (event: ProgressEvent) =>
    (Operations?.includes(event.Operation) ?? true) && (OperationStatuses?.includes(event.OperationStatus) ?? true);
  const size = Math.min(input.MaxResults ?? 20, 100);
  const { items, NextToken } = page(requests.list(place).filter(fits), size, input.NextToken);
  return { ResourceRequestStatusSummaries: items, NextToken };
}

function page<T>(all: readonly T[], size: number, token: string | undefined): { items: T[]; NextToken?: string } {
  const start = token ? Number(Buffer.from(token, "base64url").toString()) : 0;
  if (!Number.isInteger(start)) throw invalid("The NextToken is not valid.");
  const items = all.slice(start, start + size);
  if (start + size >= all.length) return { items };
  return { items, NextToken: Buffer.from(String(start + size)).toString("base64url") };
}

function handling(input: Input, action: Action): TypeFacts {
  const facts = factsOf(needed(input, "TypeName"));
  if (!facts.lacks?.includes(action)) return facts;
  throw new CloudControlError(
    "UnsupportedActionException",
    `Resource type ${input.TypeName} does not support ${action} action`,
  );
}

function pace(rules: Taken, polls: number) {
  return {
    polls: rules.polls?.polls ?? Math.max(polls, rules.pending?.pending ?? 0),
    pending: rules.pending?.pending ?? 0,
    retryAfterSeconds: rules.retryAfterSeconds?.retryAfterSeconds,
    hook: rules.hook?.hook,
  };
}

function success(facts: TypeFacts, identifier: string): End {
  return { ok: true, identifier, model: JSON.stringify(identity(facts, identifier)) };
}

function failure({ errorCode, message }: Rule, identifier: string | undefined): End {
  const said = message ?? `Injected ${errorCode}.`;
  return { ok: false, errorCode: errorCode!, message: said, ...(identifier !== undefined && { identifier }) };
}

function missing(typeName: string, identifier: string): End {
  return { ok: false, errorCode: "NotFound", message: notFound(typeName, identifier), identifier };
}

function absent(typeName: string, identifier: string): CloudControlError {
  return new CloudControlError("ResourceNotFoundException", notFound(typeName, identifier));
}

function notFound(typeName: string, identifier: string): string {
  return `Resource of type '${typeName}' with identifier '${identifier}' was not found.`;
}

function applied(document: Properties, patch: readonly PatchOperation[]): Properties {
  try {
    return patched(document, patch);
  } catch (error) {
    if (error instanceof PatchError) throw invalid(error.message);
    throw error;
  }
}

function needed(
  input: Input,
  name: "TypeName" | "Identifier" | "DesiredState" | "PatchDocument" | "RequestToken",
): string {
  const value = input[name];
  if (typeof value === "string" && value !== "") return value;
  throw invalid(
    `1 validation error detected: Value at '${name}' failed to satisfy constraint: Member must not be null`,
  );
}

function parsed<T>(text: string, name: string): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new CloudControlError("InvalidRequestException", `${name} is not valid JSON.`);
  }
}
