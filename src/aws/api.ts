// The one door to AWS: a call by service and operation. The SDK and the sandbox stand behind it; every failure that
// leaves it is an OpsError. What readers are given cannot name, and would not pass on, an operation that changes AWS.

import { OpsError } from "../core/errors.js";
import { givenUp, orGivenUp } from "../core/given-up.js";
import type { Log } from "../core/ports.js";
import { opsError } from "./errors.js";
import type { ReadOperations } from "./operations/index.js";

export const SERVICES = [
  "ec2",
  "sts",
  "cloudcontrol",
  "cloudformation",
  "cloudtrail",
  "kms",
  "autoscaling",
  "elbv2",
  "rds",
  "ecs",
  "codedeploy",
  "ce",
  "pricing",
  "tagging",
  "iam",
  "organizations",
  "s3",
  "logs",
] as const;
export type Service = (typeof SERVICES)[number];

/** Every answer may carry the id AWS's support asks for. */
export interface Answered {
  readonly $metadata?: { readonly requestId?: string };
}

type OperationOf<M, S extends Service> = Extract<keyof M, `${S}:${string}`> extends `${S}:${infer O}` ? O : never;
type Entry<M, S extends Service, O extends string> = `${S}:${O}` extends keyof M ? M[`${S}:${O}`] : never;
type InputOf<E> = E extends [infer I, unknown] ? I : never;
type OutputOf<E> = E extends [unknown, infer O] ? O & Answered : never;

export interface Api<M = ReadOperations> {
  call<S extends Service, O extends OperationOf<M, S>>(
    service: S,
    operation: O,
    input: InputOf<Entry<M, S, O>>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<OutputOf<Entry<M, S, O>>>;
}

export interface RawCall {
  readonly service: Service;
  readonly operation: string;
  readonly region: string;
  readonly input: object;
  /** Whether the call could change something. */
  readonly writes: boolean;
  readonly signal?: AbortSignal;
}

/** Carries a call to AWS or to the sandbox; throws what the SDK throws. */
export type Transport = (call: RawCall) => Promise<unknown>;

const READS = /^(BatchGet|Describe|Get|List|Lookup)[A-Z]/;
/** KMS computes and changes no resource; src/aws/kms.ts names them, and no reader passes them on. */
const COMPUTES: ReadonlySet<string> = new Set(["GenerateDataKey", "Decrypt"]);

/** Whether a call can change nothing: it reads, computes, or only asks whether it would be accepted. */
const harmless = (operation: string, input: object): boolean =>
  READS.test(operation) || COMPUTES.has(operation) || ("DryRun" in input && input.DryRun === true);

export interface ApiOptions {
  readonly region: string;
  /** The command that renews this user's credentials; asked for only when they have failed. */
  readonly login: () => Promise<string>;
  readonly log: Log;
  readonly onCredentialsRefused?: () => void;
}

export function apiOf<M>(transport: Transport, { region, login, log, onCredentialsRefused }: ApiOptions): Api<M> {
  const call = async (service: Service, operation: string, input: object, options?: { signal?: AbortSignal }) => {
    const writes = !harmless(operation, input);
    const over = READS.test(operation) ? givenUp() : undefined;
    over?.throwIfAborted();
    const signals = [over, options?.signal].filter((one) => one !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    try {
      log("debug", "calling AWS", { service, operation, region });
      const raw = { service, operation, region, input, writes, ...(signal && { signal }) };
      return await orGivenUp(transport(raw), over);
    } catch (cause) {
      over?.throwIfAborted();
      const error = await opsError(cause, { service, operation, region, writes, login });
      if (error.code.startsWith("credentials_")) onCredentialsRefused?.();
      // AWS's own text may repeat what it was sent.
      const { awsMessage: _, ...facts } = error.details;
      log("debug", "AWS call failed", { service, operation, region, code: error.code, ...facts });
      throw error;
    }
  };
  return { call } as unknown as Api<M>;
}

/** The part of an API that readers get. The types say so, and so does this at run time. */
export function readOnly(api: Api): Api {
  return {
    call(service, operation, input, options) {
      if (READS.test(operation)) return api.call(service, operation, input, options);
      throw new OpsError("internal", `A reader tried to call ${service}:${operation}; nothing was sent.`);
    },
  };
}
