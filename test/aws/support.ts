// A clock that stands still and a whole account on the sandbox, for the tests of src/aws.

import { createSandboxAws } from "../../src/aws/index.js";
import { sandboxApi } from "../../src/aws/sandbox/api.js";
import { memoryStore, SANDBOX_REGION, type WorldStore } from "../../src/aws/sandbox/world.js";
import type { ChangeStep, StepKind } from "../../src/core/change.js";
import { type ErrorCode, OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { Aws, Clock } from "../../src/core/ports.js";

export const NOW = "2026-11-21T10:00:00.000Z";
export const clock: Clock = { now: () => new Date(NOW), sleep: () => Promise.resolve(), monotonic: () => 0 };
export const log = () => {};

export const PROD = "sg-0bb00000000000001";
export const API = [1, 2, 3, 4].map((n) => `i-0aa${String(n).padStart(14, "0")}`);
export const SERVICE = "arn:aws:ecs:us-east-1:000000000000:service/prod/api-service|prod";

export function sandbox(store: WorldStore = memoryStore()) {
  const aws: Aws = createSandboxAws({ store, clock, log });
  return {
    aws,
    store,
    outsider: sandboxApi(store, clock),
    reader: () => aws.reader(SANDBOX_REGION),
    writer: aws.writer(SANDBOX_REGION),
  };
}

export const op = (id: string) => ({ id, clientToken: `token-of-${id}` });

/** A step with only what the executor looks at. */
export function step(
  service: string,
  operation: string,
  input: JsonObject,
  of: { readonly type?: string; readonly id?: string; readonly kind?: StepKind; readonly region?: string } = {},
): ChangeStep {
  return {
    service,
    operation,
    input,
    ref: {
      account: "000000000000",
      region: of.region ?? SANDBOX_REGION,
      type: of.type ?? "AWS::EC2::Instance",
      id: of.id ?? "",
    },
    reader: service === "ec2" ? "service" : "cloudcontrol",
    kind: of.kind ?? "update",
    before: null,
    after: null,
    touches: [],
  };
}

export const allow = (port: number, cidr: string, groupId = PROD): ChangeStep =>
  step(
    "ec2",
    "AuthorizeSecurityGroupIngress",
    {
      GroupId: groupId,
      IpPermissions: [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: cidr }] }],
    },
    { type: "AWS::EC2::SecurityGroup", id: groupId },
  );

/** The OpsError of a promise that must fail. */
export async function failure(promise: Promise<unknown>): Promise<OpsError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof OpsError) return outcome;
  throw new Error(`expected an OpsError, got ${String(outcome)}`);
}

export const codeOf = async (promise: Promise<unknown>): Promise<ErrorCode> => (await failure(promise)).code;
