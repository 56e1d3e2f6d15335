// Injected behaviour as JSON data, so that another process can send it. A call meets the first live rule of each kind and uses it up by one.
import type { ExceptionName, HandlerErrorCode } from "./errors.js";

export type Operation =
  | "CreateResource"
  | "GetResource"
  | "UpdateResource"
  | "DeleteResource"
  | "ListResources"
  | "GetResourceRequestStatus"
  | "ListResourceRequests"
  | "CancelResourceRequest";

export interface Hook {
  readonly name: string;
  readonly status: "HOOK_COMPLETE_SUCCEEDED" | "HOOK_COMPLETE_FAILED" | "HOOK_FAILED";
  readonly message?: string;
  /** WARN reports the failure and lets the request go on. */
  readonly failureMode?: "FAIL" | "WARN";
}

export interface Effects {
  /** Synchronous: this exception instead of an answer; nothing is done. */
  readonly fail?: ExceptionName;
  /** Asynchronous (writes): the request ends FAILED with this code. */
  readonly errorCode?: HandlerErrorCode;
  /** Asynchronous (writes): how many status calls it takes to end; 0 ends in the first answer. */
  readonly polls?: number;
  /** How many of these say PENDING before IN_PROGRESS. */
  readonly pending?: number;
  /** Writes: events before the end carry RetryAfter. */
  readonly retryAfterSeconds?: number;
  /** Creates: the identifier is told before the end. */
  readonly earlyIdentifier?: true;
  /** Creates: the first n reads after success say ResourceNotFoundException. */
  readonly notFoundReads?: number;
  readonly hook?: Hook;
  /** Done, but the connection is reset instead of an answer. */
  readonly loseReply?: true;
  /** The connection is reset and nothing is done. */
  readonly loseRequest?: true;
}

/** `times` defaults to 1; null means always. `message` and the last two qualify `fail` and `errorCode`. */
export interface Rule extends Effects {
  readonly operation?: Operation;
  readonly type?: string;
  readonly identifier?: string;
  readonly times?: number | null;
  readonly message?: string;
  /** With errorCode on a create: the failed event names the identifier. */
  readonly withIdentifier?: boolean;
  /** With errorCode on a create: something was made all the same. */
  readonly remnant?: boolean;
}

const kinds = [
  "fail",
  "errorCode",
  "polls",
  "pending",
  "retryAfterSeconds",
  "earlyIdentifier",
  "notFoundReads",
  "hook",
  "loseReply",
  "loseRequest",
] as const satisfies readonly (keyof Effects)[];

export type Kind = (typeof kinds)[number];

export interface Call {
  readonly operation: Operation;
  readonly type?: string;
  readonly identifier?: string;
}

export class RuleBook {
  readonly #rules: { readonly rule: Rule; left: number }[] = [];

  add(rule: Rule): void {
    const given = Object.keys(rule).filter((name) => (kinds as readonly string[]).includes(name));
    if (given.length === 0) throw new Error(`A rule needs at least one of: ${kinds.join(", ")}.`);
    this.#rules.push({ rule, left: rule.times === null ? Number.POSITIVE_INFINITY : (rule.times ?? 1) });
  }

  /** The first live rule for each of these kinds; one rule with several kinds is used up once. */
  take(call: Call, wanted: readonly Kind[] = kinds): { readonly [K in Kind]?: Rule } {
    const found: { [K in Kind]?: Rule } = {};
    for (const entry of this.#rules) {
      if (entry.left <= 0 || !fits(entry.rule, call)) continue;
      const free = wanted.filter((kind) => entry.rule[kind] !== undefined && !found[kind]);
      if (free.length > 0) entry.left -= 1;
      for (const kind of free) found[kind] = entry.rule;
    }
    return found;
  }

  get unused(): readonly Rule[] {
    return this.#rules.filter(({ left }) => left > 0 && Number.isFinite(left)).map(({ rule }) => rule);
  }

  clear(): void {
    this.#rules.length = 0;
  }
}

function fits({ operation, type, identifier }: Rule, call: Call): boolean {
  if (operation !== undefined && operation !== call.operation) return false;
  if (type !== undefined && type !== call.type) return false;
  return identifier === undefined || identifier === call.identifier;
}
