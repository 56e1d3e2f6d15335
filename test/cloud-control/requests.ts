// Asynchronous requests. Time is virtual: a request moves one step each time somebody asks for its status.
import { createHash } from "node:crypto";
import { CloudControlError, type HandlerErrorCode } from "./errors.js";
import type { Hook } from "./rules.js";
import type { Place } from "./types.js";

export type Status = "PENDING" | "IN_PROGRESS" | "SUCCESS" | "FAILED" | "CANCEL_IN_PROGRESS" | "CANCEL_COMPLETE";

/** How a request ends; decided, and applied to the world, in its last step. */
export type End =
  | { readonly ok: true; readonly identifier: string; readonly model: string }
  | {
      readonly ok: false;
      readonly errorCode: HandlerErrorCode;
      readonly message: string;
      readonly identifier?: string;
    };

export interface Plan {
  readonly place: Place;
  readonly operation: "CREATE" | "UPDATE" | "DELETE";
  readonly typeName: string;
  /** What it works on, for ConcurrentOperationException; told in events only where AWS would know it. */
  readonly subject: string;
  readonly tellsSubject: boolean;
  readonly polls: number;
  readonly pending: number;
  readonly retryAfterSeconds: number | undefined;
  readonly hook: Hook | undefined;
  readonly end: () => End;
}

export interface ProgressEvent {
  readonly TypeName: string;
  readonly RequestToken: string;
  readonly Operation: string;
  readonly OperationStatus: Status;
  /** Epoch seconds, as every time on this wire. */
  readonly EventTime: number;
  readonly Identifier?: string;
  readonly HooksRequestToken?: string;
  readonly ResourceModel?: string;
  readonly StatusMessage?: string;
  readonly ErrorCode?: HandlerErrorCode;
  readonly RetryAfter?: number;
}

interface Request {
  readonly token: string;
  readonly plan: Plan;
  readonly at: number;
  asked: number;
  status: Status;
  ended: End | undefined;
}

interface Kept {
  readonly digest: string;
  readonly request: Request;
}

const day = 86_400_000;
const keptFor = 7 * day;
const clientTokenFor = 1.5 * day;

export class Requests {
  #all: Request[] = [];
  readonly #byClientToken = new Map<string, Kept>();

  constructor(private readonly now: () => number) {}

  /** The request this ClientToken already made; a conflict when the parameters differ; undefined when it is new. */
  replay(place: Place, clientToken: string, digest: string): ProgressEvent | undefined {
    const kept = this.#byClientToken.get(this.#key(place, clientToken));
    if (!kept || this.now() - kept.request.at > clientTokenFor) return undefined;
    if (kept.digest === digest) return this.#event(kept.request);
    throw new CloudControlError(
      "ClientTokenConflictException",
      `The client token ${clientToken} was already used with other parameters.`,
    );
  }

  submit(plan: Plan, clientToken: string | undefined, digest: string): ProgressEvent {
    if (plan.operation !== "CREATE" || plan.tellsSubject) this.#refuseConcurrent(plan);
    const token = uuid(`${plan.place.account}/${plan.place.region}/${this.#all.length}`);
    const request: Request = { token, plan, at: this.now(), asked: 0, status: "IN_PROGRESS", ended: undefined };
    this.#all.push(request);
    if (clientToken) this.#byClientToken.set(this.#key(plan.place, clientToken), { digest, request });
    this.#settleStatus(request);
    return this.#event(request);
  }

  status(place: Place, token: string): { event: ProgressEvent; hooks: object[] } {
    const request = this.#find(place, token);
    this.#step(request);
    return { event: this.#event(request), hooks: hookEvents(request) };
  }

  cancel(place: Place, token: string): ProgressEvent {
    const request = this.#find(place, token);
    if (request.status !== "PENDING" && request.status !== "IN_PROGRESS") {
      throw new CloudControlError(
        "ConcurrentModificationException",
        `A request that is ${request.status} cannot be cancelled.`,
      );
    }
    request.status = "CANCEL_IN_PROGRESS";
    return this.#event(request);
  }

  /** Newest first; what is older than seven days is gone. */
  list(place: Place): ProgressEvent[] {
    return this.#all
      .filter((request) => this.#isKept(request, place))
      .map((request) => this.#event(request))
      .reverse();
  }

  /** Time passes without anybody asking: every open request ends. */
  settle(): void {
    for (const request of this.#all) while (!isFinal(request.status)) this.#step(request);
  }

  clear(): void {
    this.#all = [];
    this.#byClientToken.clear();
  }

  #step(request: Request): void {
    if (isFinal(request.status)) return;
    if (request.status === "CANCEL_IN_PROGRESS") {
      request.status = "CANCEL_COMPLETE";
      return;
    }
    request.asked += 1;
    this.#settleStatus(request);
  }

  #settleStatus(request: Request): void {
    const { polls, pending, hook, end } = request.plan;
    if (request.asked < polls) {
      request.status = request.asked < pending ? "PENDING" : "IN_PROGRESS";
      return;
    }
    request.ended = hook && stops(hook) ? hookFailure(hook) : end();
    request.status = request.ended.ok ? "SUCCESS" : "FAILED";
  }

  #refuseConcurrent({ place, typeName, subject }: Plan): void {
    const open = this.#all.find(
      ({ plan, status }) =>
        !isFinal(status) && plan.subject === subject && plan.typeName === typeName && samePlace(plan.place, place),
    );
    if (!open) return;
    throw new CloudControlError(
      "ConcurrentOperationException",
      `Another operation is in progress on ${typeName} ${subject} (request ${open.token}).`,
    );
  }

  #find(place: Place, token: string): Request {
    const found = this.#all.find((request) => request.token === token && this.#isKept(request, place));
    if (found) return found;
    throw new CloudControlError("RequestTokenNotFoundException", `Request with token ${token} was not found.`);
  }

  #isKept({ plan, at }: Request, place: Place): boolean {
    return samePlace(plan.place, place) && this.now() - at <= keptFor;
  }

  #key({ account, region }: Place, clientToken: string): string {
    return `${account}/${region}/${clientToken}`;
  }

  #event({ token, plan, at, status, ended }: Request): ProgressEvent {
    const known = plan.tellsSubject && (plan.operation !== "CREATE" || ended?.ok !== false);
    const identifier = ended?.identifier ?? (known ? plan.subject : undefined);
    const waits = !ended && status !== "CANCEL_COMPLETE" && plan.retryAfterSeconds !== undefined;
    return {
      TypeName: plan.typeName,
      RequestToken: token,
      Operation: plan.operation,
      OperationStatus: status,
      EventTime: at / 1000,
      ...(identifier !== undefined && { Identifier: identifier }),
      ...(plan.hook && { HooksRequestToken: uuid(`hooks/${token}`) }),
      ...(waits && { RetryAfter: this.now() / 1000 + plan.retryAfterSeconds! }),
      ...(ended?.ok && { ResourceModel: ended.model }),
      ...(ended?.ok === false && { ErrorCode: ended.errorCode, StatusMessage: ended.message }),
    };
  }
}

function stops({ status, failureMode = "FAIL" }: Hook): boolean {
  return status !== "HOOK_COMPLETE_SUCCEEDED" && failureMode === "FAIL";
}

/** The code of a request that a hook stopped is not documented; the hook's own event says why. */
function hookFailure({ name }: Hook): End {
  return { ok: false, errorCode: "GeneralServiceException", message: `The following hook(s) failed: [${name}]` };
}

function hookEvents({ plan: { hook }, at }: Request): object[] {
  if (!hook) return [];
  const { name, status, message, failureMode = "FAIL" } = hook;
  const HookStatusMessage = message ?? `Hook ended with ${status}.`;
  return [
    {
      HookTypeName: name,
      HookTypeVersionId: "00000001",
      InvocationPoint: "PRE_PROVISION",
      HookStatus: status,
      HookEventTime: at / 1000,
      HookStatusMessage,
      FailureMode: failureMode,
    },
  ];
}

function isFinal(status: Status): boolean {
  return status === "SUCCESS" || status === "FAILED" || status === "CANCEL_COMPLETE";
}

function samePlace(one: Place, other: Place): boolean {
  return one.account === other.account && one.region === other.region;
}

function uuid(seed: string): string {
  const hex = createHash("sha256").update(seed).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}
