// One write as the executor knows it: how it is sent, how it may be sent again, how to find what it made.

import type { ChangeStep } from "../../core/change.js";
import type { ErrorCode } from "../../core/errors.js";
import { type Json, type JsonObject, sha256 } from "../../core/json.js";
import type { AwsWriter, Idempotency, Progress } from "../../core/ports.js";
import type { Answered, Api } from "../api.js";
import type { ReadOperations } from "../operations/index.js";

/** Reads of AWS, as a write needs them to find what it made. */
export type Reads = Api<ReadOperations>;
export type Op = Parameters<AwsWriter["send"]>[1];

/** A write of the table `M`: `"service:Operation"` → what goes in, what comes out. */
export interface Row<M, N extends keyof M> {
  readonly idempotency: Idempotency;
  /** EC2 can be asked whether it would accept the call. */
  readonly dryRun: boolean;
  /** What EC2 may say to that question and an earlier step of the same plan mends. */
  readonly laterOn?: readonly string[];
  /** The step's input as it goes over the wire under an operation. */
  readonly input: (input: JsonObject, op: Op) => JsonObject;
  /** The ids of the resources it made or changed, of the type of the step. */
  readonly identifiers: (output: Output<M, N>, input: JsonObject) => readonly (string | undefined)[];
  /**
   * What the plan does not hold and must not (a whole definition with its secrets), read where the call is made. It may rest
   * on nothing that can differ from what was planned: what it reads is named in the input and never changes in AWS.
   */
  readonly complete?: (api: Reads, input: JsonObject) => Promise<JsonObject>;
  /** One call may be about several resources, and AWS answers for each of them. */
  readonly many?: Many<Output<M, N>>;
  /** The handle of work that goes on after the answer. */
  readonly requestToken?: (output: Output<M, N>, input: JsonObject) => string | undefined;
  /**
   * How far that work is, by reads; without it Cloud Control is asked about the handle. The handle is missing where the
   * answer was lost and live shows that AWS took the call. Failed is only what AWS calls so; what can still go on is pending.
   */
  readonly follow?: (api: Reads, work: Followed) => Promise<Progress>;
  /** For how long it is followed, where that is not the usual; past it a human is asked. */
  readonly hours?: number;
  /** The write that asks AWS to stop that work, found by reads; null where there is nothing to stop. */
  readonly stop?: (api: Reads, work: Followed) => Promise<Pick<ChangeStep, "operation" | "input"> | null>;
  /** What an operation of this id made, by the mark it left; null where that cannot be said. */
  readonly find?: (api: Reads, op: Op, step: ChangeStep) => Promise<readonly string[] | null>;
}
/** Work in progress in AWS, as a row that follows it needs to know it. */
export interface Followed {
  readonly step: ChangeStep;
  readonly handle?: string;
  /** When the call was about to be sent, by this machine's clock. */
  readonly since?: string;
  readonly now: Date;
}

type Output<M, N extends keyof M> = (M[N] extends [unknown, infer O] ? O : never) & Answered;

export interface Many<O> {
  /** The member of the input that names the resources, and how many of them fit. */
  readonly list: string;
  readonly most: number;
  /** Resources that AWS refused in an answer that is none by itself. */
  readonly failures: (output: O) => ReadonlyMap<string, Refusal>;
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly awsCode: string;
  readonly awsMessage: string;
}

/** One row for every write of a service. */
export type Rows<M> = { readonly [N in keyof M]: Row<M, N> };

export const asIs = (input: JsonObject): JsonObject => input;
/** A new request gets a token that follows from the operation's, so that whoever settles it later sends the same. */
const requestTokenOf = ({ clientToken, attempt = 0 }: Op): string =>
  attempt === 0 ? clientToken : sha256(`${clientToken}/${attempt}`).slice(0, 32);
export const withToken = (input: JsonObject, op: Op): JsonObject => ({ ...input, ClientToken: requestTokenOf(op) });
export const listed = (value: Json | undefined): readonly Json[] => (Array.isArray(value) ? value : []);
export const ids = (value: Json | undefined): string[] =>
  listed(value).filter((id): id is string => typeof id === "string");
