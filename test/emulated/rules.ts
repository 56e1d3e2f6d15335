// The faults of the proxy as data. Each kind is looked up on its own: a request meets the first live rule of every kind, and uses it up by one.
import type { AwsRequest } from "./wire.js";

export interface Match {
  readonly service?: string;
  readonly operation?: string;
  readonly where?: (request: AwsRequest) => boolean;
}

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message?: string;
}

/** What happens to a matching request. Exactly one field is given. */
export interface Effects {
  /** The write is applied, the answer is lost: the caller sees a reset connection. */
  readonly dropReply?: true;
  /** The connection is reset before anything is applied. */
  readonly dropRequest?: true;
  /** An error in AWS's own shape; nothing is applied. */
  readonly answer?: Refusal | ((request: AwsRequest) => Refusal);
  /** What a test says AWS answers; nothing is applied. */
  readonly reply?: { readonly status?: number; readonly body: string };
  /** The backend's answer, as a test says AWS would have written it. */
  readonly rewrite?: (body: string, request: AwsRequest) => string;
  /** Wait before forwarding until the promise resolves: see `gate()`. */
  readonly hold?: Promise<unknown>;
  /** Half of the answer arrives, the rest only after the promise resolves. */
  readonly stall?: Promise<unknown>;
  /** Run before forwarding: change the world between two calls. */
  readonly before?: (request: AwsRequest) => unknown;
  /** Run after the backend has answered, before the caller hears of it. */
  readonly after?: (request: AwsRequest) => unknown;
  /** ISO timestamps in JSON answers become epoch seconds (an emulator's fault, CodeDeploy). */
  readonly isoToEpoch?: true;
  /** Every element or field of that name (XML "instanceState/name" for a nested one) reads as the value. */
  readonly status?: { readonly field: string; readonly value: string };
}

/** `times` defaults to 1; Infinity means always. */
export type Rule = Match & Effects & { readonly times?: number };

export type Kind = keyof Effects;

/** At most one of these ends a request. */
const ends: readonly Kind[] = ["dropReply", "dropRequest", "answer", "reply"];
const rest: readonly Kind[] = ["hold", "stall", "before", "after", "isoToEpoch", "status", "rewrite"];

/** A gate for a `hold` or `stall` rule: closed until the test opens it. No sleeping. */
export function gate(): { readonly closed: Promise<void>; open(): void } {
  let open = () => {};
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { closed, open };
}

export class RuleBook {
  readonly #rules: { readonly rule: Rule; left: number }[] = [];

  add(rule: Rule): void {
    if ([...ends, ...rest].filter((kind) => rule[kind] !== undefined).length !== 1)
      throw new Error("A rule has exactly one effect.");
    this.#rules.push({ rule, left: rule.times ?? 1 });
  }

  /** The first live rule of each kind for this request, each used up by one. */
  take(request: AwsRequest): Effects {
    const live = this.#rules.filter(({ rule, left }) => left > 0 && matches(rule, request));
    const end = live.find(({ rule }) => ends.some((kind) => rule[kind] !== undefined));
    const kinds = end ? survivors(end.rule) : rest;
    const found: Partial<Record<Kind, unknown>> = {};
    for (const entry of end ? [end, ...live] : live) {
      const kind = kindOf(entry.rule);
      if (kind in found || (entry !== end && !kinds.includes(kind))) continue;
      entry.left -= 1;
      found[kind] = entry.rule[kind];
    }
    return found as Effects;
  }

  /** Finite rules nobody has met yet; a test that set them expects none to be left. */
  get unused(): readonly Rule[] {
    return this.#rules.filter(({ left }) => left > 0 && left !== Number.POSITIVE_INFINITY).map(({ rule }) => rule);
  }

  clear(): void {
    this.#rules.length = 0;
  }
}

export function matches({ service, operation, where }: Match, request: AwsRequest): boolean {
  if (service !== undefined && service !== request.service) return false;
  if (operation !== undefined && operation !== request.operation) return false;
  return where?.(request) ?? true;
}

function kindOf(rule: Rule): Kind {
  return [...ends, ...rest].find((kind) => rule[kind] !== undefined)!;
}

/** What still happens to a request that meets such an end; rules for an answer that never comes stay unused. */
function survivors(end: Rule): readonly Kind[] {
  if (end.answer || end.reply) return ["hold", "before", "stall"];
  return end.dropReply ? ["hold", "before", "after"] : ["hold", "before"];
}
