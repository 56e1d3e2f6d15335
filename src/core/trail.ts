// What CloudTrail records of a call that changed something, and what is said of who made a change. Plain data.

import type { Json } from "./json.js";

/** One recorded call. Its texts are others' and come cleaned and bounded; `request` and `response` are compared, never shown. */
export interface TrailEvent {
  readonly eventId: string;
  readonly at: string;
  /** The service that was called: `ec2.amazonaws.com`. */
  readonly source: string;
  readonly name: string;
  readonly readOnly: boolean;
  /** AWS refused the call, or it was a dry run: it changed nothing. */
  readonly failed: boolean;
  readonly requestId?: string;
  /** The caller's ARN, as STS would say it. */
  readonly arn?: string;
  /** The session's issuer, the user or the service. */
  readonly principal: string;
  readonly principalType?: string;
  readonly session?: string;
  readonly sourceIp?: string;
  readonly userAgent?: string;
  readonly console?: boolean;
  /** The AWS service that made the call, for itself or for somebody. */
  readonly invokedBy?: string;
  /** An AWS service did it by itself: no person and no program of the account asked for it. */
  readonly onItsOwn?: boolean;
  readonly resources: readonly { readonly type?: string; readonly name: string }[];
  readonly request: Json;
  readonly response: Json;
}

export interface TrailQuery {
  /** The resource as CloudTrail may name it: identifier, ARN or name. */
  readonly name: string;
  readonly from: string;
  readonly to: string;
  /** The service has no regions: its calls are recorded in one region of the partition. */
  readonly global: boolean;
  /** Where it lives, if not where the reader looks. */
  readonly region?: string;
}

/** Newest first. `complete` is false where CloudTrail has more than was read. */
export interface TrailPage {
  readonly events: readonly TrailEvent[];
  readonly complete: boolean;
}

/**
 * How sure it is. `exact`: the service fits the type, the call fits the paths, its parameters hold the new value;
 * `likely`: the first two; `possible`: it names the resource in that time.
 */
export type Confidence = "exact" | "likely" | "possible";

export type Attribution =
  | (Pick<
      TrailEvent,
      | "eventId"
      | "at"
      | "principal"
      | "principalType"
      | "session"
      | "sourceIp"
      | "userAgent"
      | "console"
      | "invokedBy"
      | "onItsOwn"
    > & {
      readonly status: "known";
      readonly confidence: Confidence;
      readonly eventName: string;
      readonly eventSource: string;
    })
  /** Nothing can be said yet: asking again later may tell. */
  | { readonly status: "pending"; readonly because: string }
  | { readonly status: "unknown"; readonly because: string };
