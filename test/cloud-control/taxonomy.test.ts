// Every failure Cloud Control has a name for, through the product: what is done about it, what is said, what was sent.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ASYNCHRONOUS, type Policy } from "../../src/aws/error-table.js";
import { type ExceptionName, exceptions, type HandlerErrorCode, handlerErrorCodes } from "./errors.js";
import { type Scripted, startScripted } from "./product.js";

const GROUP = "AWS::Logs::LogGroup";
const OPERATION = { create: "CreateResource", update: "UpdateResource", delete: "DeleteResource" } as const;
type Kind = keyof typeof OPERATION;

let aws: Scripted;
beforeEach(async () => {
  aws = await startScripted();
});
afterEach(() => aws.close());

/** A plan for the group `/app`, which is there already where it is not to be created. */
async function plan(kind: Kind) {
  const target = { type: GROUP, identifier: "/app" };
  const intent = "test the failures";
  if (kind === "create") {
    return aws.call("resources_create", { type: GROUP, properties: { LogGroupName: "/app" }, intent });
  }
  aws.cloudControl.world.put(GROUP, "/app", { LogGroupName: "/app" });
  const { revision: basedOn } = await aws.call("resources_get", target);
  return kind === "update"
    ? aws.call("resources_update", { ...target, properties: { RetentionInDays: 7 }, intent, basedOn })
    : aws.call("resources_delete", { ...target, intent, basedOn });
}
const apply = ({ executionToken }: { executionToken: string }) => aws.call("changes_apply", { executionToken });

interface Sent {
  readonly calls: number;
  /** Client tokens among them: requests, as AWS counts them. */
  readonly requests: number;
}
function sent(kind: Kind): Sent {
  const writes = aws.writes().filter(({ operation }) => operation === OPERATION[kind]);
  return { calls: writes.length, requests: new Set(writes.map(({ token }) => token)).size };
}
const ONCE: Sent = { calls: 1, requests: 1 };

type Expected = readonly [policy: Policy, code: string, nothingWasChanged: true | "unknown", sent: Sent];

const REPEATED: Sent = { calls: 2, requests: 1 };
const ANEW: Sent = { calls: 3, requests: 3 };

/** The answer to the call itself is the failure, every time. */
const SYNCHRONOUS_ROWS: Readonly<Record<ExceptionName, Expected>> = {
  ThrottlingException: ["repeat", "throttled", true, { calls: 4, requests: 1 }],
  NetworkFailureException: ["repeat", "outcome_unknown", "unknown", REPEATED],
  InternalFailure: ["repeat", "outcome_unknown", "unknown", REPEATED],
  ServiceUnavailable: ["repeat", "outcome_unknown", "unknown", REPEATED],
  ServiceInternalErrorException: ["again", "outcome_unknown", "unknown", REPEATED],
  HandlerInternalFailureException: ["again", "outcome_unknown", "unknown", REPEATED],
  ConcurrentOperationException: ["wait", "resource_busy", true, ONCE],
  ConcurrentModificationException: ["wait", "resource_busy", true, ONCE],
  ResourceConflictException: ["wait", "resource_busy", true, ONCE],
  NotUpdatableException: ["plan", "replacement_needed", true, ONCE],
  InvalidRequestException: ["plan", "aws_rejected", true, ONCE],
  ValidationException: ["plan", "aws_rejected", true, ONCE],
  UnsupportedActionException: ["plan", "unsupported", true, ONCE],
  TypeNotFoundException: ["plan", "unsupported", true, ONCE],
  PrivateTypeException: ["plan", "unsupported", true, ONCE],
  AlreadyExistsException: ["ownership", "already_exists", true, ONCE],
  NotStabilizedException: ["unknown", "outcome_unknown", "unknown", REPEATED],
  HandlerFailureException: ["unknown", "outcome_unknown", "unknown", REPEATED],
  GeneralServiceException: ["unknown", "outcome_unknown", "unknown", REPEATED],
  AccessDeniedException: ["caller", "access_denied", true, ONCE],
  InvalidCredentialsException: ["caller", "credentials_invalid", true, ONCE],
  UnrecognizedClientException: ["caller", "credentials_invalid", true, ONCE],
  ExpiredTokenException: ["caller", "credentials_expired", true, ONCE],
  ServiceLimitExceededException: ["caller", "aws_rejected", true, ONCE],
  ResourceNotFoundException: ["absence", "not_found", true, ONCE],
  RequestTokenNotFoundException: ["tracking", "not_found", true, ONCE],
  ClientTokenConflictException: ["tracking", "outcome_unknown", "unknown", REPEATED],
};

/** The request is taken, and ends FAILED with this code, every time. */
const ASYNCHRONOUS_ROWS: Readonly<Record<HandlerErrorCode, Expected>> = {
  Throttling: ["again", "throttled", true, ANEW],
  ServiceInternalError: ["again", "aws_failed", "unknown", ANEW],
  InternalFailure: ["again", "aws_failed", "unknown", ANEW],
  NetworkFailure: ["again", "aws_failed", "unknown", ANEW],
  ResourceConflict: ["wait", "resource_busy", true, ONCE],
  NotUpdatable: ["plan", "replacement_needed", true, ONCE],
  InvalidRequest: ["plan", "aws_rejected", true, ONCE],
  AlreadyExists: ["ownership", "already_exists", true, ONCE],
  NotStabilized: ["unknown", "aws_failed", "unknown", ONCE],
  ServiceTimeout: ["unknown", "aws_failed", "unknown", ONCE],
  GeneralServiceException: ["unknown", "aws_failed", "unknown", ONCE],
  AccessDenied: ["caller", "access_denied", true, ONCE],
  UnauthorizedTaggingOperation: ["caller", "access_denied", true, ONCE],
  InvalidCredentials: ["caller", "credentials_invalid", true, ONCE],
  ServiceLimitExceeded: ["caller", "aws_rejected", true, ONCE],
  NotFound: ["absence", "not_found", true, ONCE],
};

describe("the table is whole", () => {
  it("names every exception and every code there is, and the product's own table agrees", () => {
    expect(Object.keys(SYNCHRONOUS_ROWS).sort()).toEqual(Object.keys(exceptions).sort());
    expect(Object.keys(ASYNCHRONOUS_ROWS).sort()).toEqual([...handlerErrorCodes].sort());
    const policies = Object.fromEntries(Object.entries(ASYNCHRONOUS).map(([name, { policy }]) => [name, policy]));
    const expected = Object.entries(ASYNCHRONOUS_ROWS).map(([name, [policy]]) => [name, policy]);
    expect(policies).toEqual(Object.fromEntries(expected));
  });
});

describe.each(["create", "update"] as const)("a failing %s", (kind) => {
  it.each(Object.entries(SYNCHRONOUS_ROWS))("%s", async (fail, [, code, nothingWasChanged, calls]) => {
    const planned = await plan(kind);
    aws.cloudControl.rule({ operation: OPERATION[kind], fail: fail as ExceptionName, times: null });
    expect(await apply(planned)).toMatchObject({ code, nothingWasChanged });
    expect(sent(kind)).toEqual(calls);
    expect(aws.cloudControl.world.get(GROUP, "/app")?.RetentionInDays).toBeUndefined();
  });

  it.each(Object.entries(ASYNCHRONOUS_ROWS))(
    "%s, in the end",
    async (errorCode, [, code, nothingWasChanged, calls]) => {
      const planned = await plan(kind);
      aws.cloudControl.rule({ operation: OPERATION[kind], errorCode: errorCode as HandlerErrorCode, times: null });
      const answer = await apply(planned);
      expect(answer).toMatchObject({
        code,
        nothingWasChanged,
        awsCode: errorCode,
        awsMessage: `Injected ${errorCode}.`,
      });
      expect(answer.message).not.toContain("Injected");
      expect(sent(kind)).toEqual(calls);
    },
  );
});

describe("what passes is got over", () => {
  const passing = Object.entries({ ...SYNCHRONOUS_ROWS }).filter(([, [, code]]) => code === "outcome_unknown");
  it.each([...passing.map(([name]) => name), "ThrottlingException"])(
    "%s once, under one client token",
    async (fail) => {
      const planned = await plan("create");
      aws.cloudControl.rule({ operation: "CreateResource", fail: fail as ExceptionName });
      expect(await apply(planned)).toMatchObject({ outcome: "applied" });
      expect(sent("create")).toEqual(REPEATED);
    },
  );

  const again = handlerErrorCodes.filter((name) => ASYNCHRONOUS[name]?.policy === "again");
  it.each(again.flatMap((name) => (["create", "update", "delete"] as const).map((kind) => [name, kind] as const)))(
    "%s once, of a %s: a new request, under a token of its own",
    async (errorCode, kind) => {
      const planned = await plan(kind);
      aws.cloudControl.rule({ operation: OPERATION[kind], errorCode });
      expect(await apply(planned)).toMatchObject({ outcome: "applied" });
      expect(sent(kind)).toEqual({ calls: 2, requests: 2 });
    },
  );

  it("but not where something was made: what is there is recorded as ours, and nothing is sent again", async () => {
    const planned = await plan("create");
    aws.cloudControl.rule({
      operation: "CreateResource",
      errorCode: "InternalFailure",
      withIdentifier: true,
      remnant: true,
    });
    expect(await apply(planned)).toMatchObject({
      code: "aws_failed",
      identifier: "/app",
      nothingWasChanged: "unknown",
    });
    expect(sent("create")).toEqual(ONCE);
    expect(await aws.call("state_history", { identifier: "/app" })).toMatchObject({ lineage: [{ outcome: "failed" }] });
  });

  it("nor over somebody who made it meanwhile", async () => {
    const planned = await plan("create");
    aws.cloudControl.rule({ operation: "CreateResource", errorCode: "InternalFailure", remnant: true });
    expect(await apply(planned)).toMatchObject({ code: "aws_failed", nothingWasChanged: "unknown" });
    expect(sent("create")).toEqual(ONCE);
  });

  it("nor where AWS gives the name and nothing could be read", async () => {
    const create = (errorCode: HandlerErrorCode) => {
      aws.cloudControl.rule({ operation: "CreateResource", errorCode });
      return aws
        .call("resources_create", {
          type: "AWS::EC2::SecurityGroup",
          properties: { GroupDescription: "web" },
          intent: "test it",
        })
        .then(apply);
    };
    expect(await create("InternalFailure")).toMatchObject({ code: "aws_failed", nothingWasChanged: "unknown" });
    expect(sent("create")).toEqual(ONCE);
    expect(await create("Throttling")).toMatchObject({ outcome: "applied" });
  });

  it.each([
    ["InvalidRequest", "The role defined for the function cannot be assumed by Lambda."],
    ["GeneralServiceException", "ECS was unable to assume the role that was provided for this task."],
  ] as const)("a role that is not ready yet (%s)", async (errorCode, message) => {
    const planned = await plan("create");
    aws.cloudControl.rule({ operation: "CreateResource", errorCode, message, times: 2 });
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(sent("create")).toEqual(ANEW);
  });

  it("a role that is not ready when the call is made; not of an update, and not for ever", async () => {
    const rule = { fail: "InvalidRequestException", message: "The provided role cannot be assumed" } as const;
    const planned = await plan("create");
    aws.cloudControl.rule({ ...rule, operation: "CreateResource" });
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
    expect(sent("create")).toEqual({ calls: 2, requests: 2 });
    const update = await plan("update");
    aws.cloudControl.rule({ ...rule, operation: "UpdateResource" });
    expect(await apply(update)).toMatchObject({ code: "aws_rejected" });
    expect(sent("update")).toEqual(ONCE);
  });
});

describe("that nothing was changed is not said", () => {
  it("of a value that AWS never shows", async () => {
    const target = { type: "AWS::SSM::Parameter", identifier: "/p" };
    aws.cloudControl.world.put(target.type, "/p", { Name: "/p", Type: "String", Value: "a" });
    const update = async (properties: object) => {
      const { revision: basedOn } = await aws.call("resources_get", target);
      aws.cloudControl.rule({ operation: "UpdateResource", errorCode: "AccessDenied" });
      return apply(await aws.call("resources_update", { ...target, properties, intent: "test it", basedOn }));
    };
    expect(await update({ Description: "a" })).toMatchObject({
      code: "aws_failed",
      reason: "access_denied",
      nothingWasChanged: "unknown",
    });
    expect(await update({ Value: "b" })).toMatchObject({ code: "access_denied", nothingWasChanged: true });
  });

  it("where a name is taken that an earlier request of ours may have taken", async () => {
    const planned = await plan("create");
    aws.cloudControl.rule({ operation: "CreateResource", errorCode: "InternalFailure" });
    aws.cloudControl.rule({ operation: "CreateResource", errorCode: "AlreadyExists" });
    expect(await apply(planned)).toMatchObject({
      code: "aws_failed",
      reason: "already_exists",
      nothingWasChanged: "unknown",
    });
    expect(sent("create")).toEqual({ calls: 2, requests: 2 });
  });
});

describe("who has to act is told", () => {
  it("another request in flight is named, and the plan has to be made anew", async () => {
    const planned = await plan("update");
    aws.cloudControl.rule({ operation: "UpdateResource", polls: 1_000 });
    const { ProgressEvent } = (await raw("UpdateResource", {
      TypeName: GROUP,
      Identifier: "/app",
      PatchDocument: '[{"op":"add","path":"/RetentionInDays","value":1}]',
    })) as { ProgressEvent: { RequestToken: string } };
    expect(await apply(planned)).toMatchObject({
      code: "resource_busy",
      nothingWasChanged: true,
      inFlight: { requestToken: ProgressEvent.RequestToken, operation: "UPDATE" },
    });
  });

  it("a failed hook speaks before the handler", async () => {
    const planned = await plan("create");
    const hook = {
      name: "Acme::No::LogGroups",
      status: "HOOK_COMPLETE_FAILED",
      message: "no log groups here",
    } as const;
    aws.cloudControl.rule({ operation: "CreateResource", hook });
    const answer = await apply(planned);
    expect(answer).toMatchObject({ code: "aws_rejected", nothingWasChanged: true, awsMessage: "no log groups here" });
    expect(sent("create")).toEqual(ONCE);
  });

  it("tags that may not be set name the switch that leaves them out", async () => {
    const planned = await plan("create");
    aws.cloudControl.rule({ operation: "CreateResource", errorCode: "UnauthorizedTaggingOperation" });
    expect((await apply(planned)).message).toContain("--default-tags off");
  });

  it("a denial names the action of the service behind", async () => {
    const planned = await plan("create");
    const message = "User: x is not authorized to perform: logs:CreateLogGroup on resource: y";
    aws.cloudControl.rule({ operation: "CreateResource", errorCode: "AccessDenied", message });
    expect(await apply(planned)).toMatchObject({ code: "access_denied", action: "logs:CreateLogGroup" });
  });

  it("a delete of what is gone by then is done", async () => {
    const planned = await plan("delete");
    const { world } = aws.cloudControl;
    aws.cloudControl.rule({ operation: "DeleteResource", fail: "ResourceNotFoundException" });
    const read = world.read.bind(world);
    let reads = 0;
    world.read = (...of) => (++reads > 1 ? undefined : read(...of));
    expect(await apply(planned)).toMatchObject({ outcome: "applied" });
  });
});

/** Somebody else's call. */
async function raw(operation: string, input: object): Promise<unknown> {
  const response = await fetch(aws.cloudControl.endpoint, {
    method: "POST",
    headers: {
      "x-amz-target": `CloudApiService.${operation}`,
      authorization: "AWS4-HMAC-SHA256 Credential=AKIAOTHER/20261121/eu-west-1/cloudcontrolapi/aws4_request",
    },
    body: JSON.stringify(input),
  });
  return response.json();
}
