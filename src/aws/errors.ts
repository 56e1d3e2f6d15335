// What the SDK throws → one of our errors. `outcome_unknown` is said of a write exactly when AWS may have acted.

import { type ErrorCode, OpsError } from "../core/errors.js";
import { NOT_CONNECTED, NOT_FOUND, SYNCHRONOUS } from "./error-table.js";
import { foreign } from "./foreign.js";
import { actionOf } from "./iam-actions.js";

export interface FailedCall {
  readonly service: string;
  readonly operation: string;
  readonly region: string;
  /** Whether the call could have changed something. */
  readonly writes: boolean;
  readonly login: () => Promise<string>;
}

/**
 * An attempt of a write whose answer was lost. What it did is looked for before anything is sent again, so the SDK must not
 * take this for one of the errors it retries: it looks at names, codes and causes, and finds none here.
 */
export class LostAttempt extends Error {
  readonly source: unknown;
  constructor(source: unknown) {
    super("an attempt was sent and its answer was lost");
    this.name = "LostAttempt";
    this.source = source;
  }
}

interface Facts {
  readonly name: string;
  readonly message: string;
  readonly nodeCode?: string;
  readonly status?: number;
  readonly requestId?: string;
}

const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

function facts(cause: unknown): Facts {
  const metadata = field(cause, "$metadata");
  const nodeCode = text(field(cause, "code"));
  const status = number(field(metadata, "httpStatusCode")) ?? number(field(field(cause, "$response"), "statusCode"));
  const requestId = text(field(metadata, "requestId"));
  return {
    name: text(field(cause, "name")) ?? "Error",
    message: text(field(cause, "message")) ?? String(cause),
    ...(nodeCode !== undefined && { nodeCode }),
    ...(status !== undefined && { status }),
    ...(requestId !== undefined && { requestId }),
  };
}

const CREDENTIALS_STALE = /expired|re-?authenticate|sso session|aws sso login|refresh token/i;

function notConnected({ name, message, nodeCode }: Facts): boolean {
  if (nodeCode !== undefined && NOT_CONNECTED.has(nodeCode)) return true;
  return name === "TimeoutError" && /not establish a connection/i.test(message);
}

/** Whether AWS may have acted although this attempt of a write failed so. */
export function mayHaveActed(cause: unknown): boolean {
  if (cause instanceof LostAttempt) return true;
  const fact = facts(cause);
  if (fact.name === "CredentialsProviderError" || fact.name === "TokenProviderError" || notConnected(fact))
    return false;
  const row = SYNCHRONOUS.get(fact.name);
  if (row) return row.write === "outcome_unknown";
  return fact.status === undefined || fact.status >= 500 || fact.status < 300;
}

function codeOf(cause: unknown, writes: boolean): ErrorCode {
  const fact = facts(cause);
  const { name, message, status = 0, nodeCode } = fact;
  if (name === "CredentialsProviderError") {
    return CREDENTIALS_STALE.test(message) ? "credentials_expired" : "credentials_missing";
  }
  const row = SYNCHRONOUS.get(name);
  if (row) return (writes ? row.write : undefined) ?? row.code;
  if (NOT_FOUND.test(name)) return "not_found";
  if (status === 429) return "throttled";
  if (notConnected(fact)) return "aws_unavailable";
  const answered = status >= 300 && status < 500;
  if (answered) return status === 401 ? "credentials_invalid" : "aws_rejected";
  const network = status > 0 || nodeCode !== undefined || ["TimeoutError", "AbortError"].includes(name);
  if (network) return writes ? "outcome_unknown" : "aws_unavailable";
  return "internal";
}

/** The action AWS says is missing, which may be another than the one called: a handler's own, behind Cloud Control. */
function deniedAction(message: string, { service, operation }: FailedCall): string {
  const named = /perform(?:ing)?:?\s+([a-z0-9-]{2,40}:[A-Za-z]{2,80})\b/.exec(message)?.[1];
  return named ?? actionOf(service, operation);
}

type Sentence = (call: FailedCall, action: string, login: string) => string;

const SENTENCES: Partial<Record<ErrorCode, Sentence>> = {
  credentials_missing: (_, action, login) =>
    `No AWS credentials were found, so ${action} was not called. Run \`${login}\` and call again; no restart is needed.`,
  credentials_expired: (_, action, login) =>
    `The AWS credentials have expired and ${action} was refused. Run \`${login}\` and call again; no restart is needed.`,
  credentials_invalid: ({ region }, action, login) =>
    `AWS does not accept these credentials for ${action} in ${region}. Renew them with \`${login}\`; if they are new, ` +
    "check that the region is enabled for the account and that this machine's clock is right.",
  // AWS's own words are no part of our sentence.
  access_denied: ({ service, operation }, action) =>
    `AWS denied the call: the identity in use lacks ${
      action === actionOf(service, operation) ? action : "the permission that `action` names"
    } here. Nothing was changed; an administrator can grant it.`,
  throttled: (_, action) => `AWS is limiting the rate of ${action} and nothing was changed. Call again in a minute.`,
  aws_unavailable: ({ region }, action) =>
    `AWS could not be reached or failed on ${action} in ${region}; what it holds is not known from this call. Call again later.`,
  outcome_unknown: (_, action) =>
    `${action} was sent and its answer was lost or says nothing certain; AWS may have acted. Read the resource before anything else.`,
  not_found: ({ region }, action) =>
    `AWS answered ${action} with "not found" in ${region}; nothing was changed. Check the identifier and the region.`,
  rule_exists: () => "The security group already has this rule; nothing was changed.",
  already_exists: () =>
    "AWS already has a resource of this name and it was left alone. Import it or choose another name.",
  resource_busy: () =>
    "AWS is at work on this resource for another request; nothing was changed. Wait until that has ended, read the resource, then plan again.",
  wrong_state: (_, action) =>
    `AWS refused ${action} because of the status the resource is in, which \`awsMessage\` names; nothing was changed. Read it, and plan again once its status allows it.`,
  in_use: (_, action) =>
    `AWS refused ${action} because something still uses the resource; nothing was changed. Read it to see what does.`,
  replacement_needed: () =>
    "AWS cannot change this property of an existing resource; nothing was changed. A new resource has to take its place.",
  not_enabled: (_, action) =>
    `The account does not use the service that ${action} belongs to; nothing was read or changed.`,
  unsupported: (_, action) =>
    `AWS does not offer ${action} for this resource type; nothing was changed. Use the tools of the service itself.`,
  aws_rejected: (_, action) =>
    `AWS refused ${action} and changed nothing; \`awsCode\` and \`awsMessage\` carry its reason. Correct the request and plan again.`,
  internal: (_, action) => `${action} failed inside this server before an answer of AWS; the log has the details.`,
};

/** What is said of a code where AWS told the failure as the end of a request, and not as the answer to a call. */
export function refusalText(
  code: ErrorCode,
  call: Pick<FailedCall, "service" | "operation" | "region">,
  awsMessage: string,
): { readonly message: string; readonly action?: string } {
  const denied = code === "access_denied";
  const whole: FailedCall = { ...call, writes: true, login: async () => "" };
  const action = denied ? deniedAction(awsMessage, whole) : `${call.service}:${call.operation}`;
  const sentence = SENTENCES[code] ?? SENTENCES.aws_rejected!;
  // A service's handler, and not this machine, has no credentials then: no login mends it.
  const text = code.startsWith("credentials_")
    ? "AWS refused the credentials of the request behind Cloud Control; nothing was changed. Check the role it runs under."
    : sentence(whole, action, "");
  return { message: text, ...(denied && { action }) };
}

/**
 * What the log may see of a cause. The SDK's own error carries the whole request with it, and so the signature and the
 * session token.
 */
function lean(cause: unknown, { name, message }: Facts): Error {
  const kept = new Error(foreign(message, 500));
  kept.name = foreign(name, 80);
  if (cause instanceof Error && cause.stack !== undefined) {
    kept.stack = `${kept.name}: ${kept.message}\n${cause.stack
      .split("\n")
      .filter((line) => /^\s+at /.test(line))
      .join("\n")}`;
  }
  return kept;
}

/** The error a failed call becomes. One that is ours already passes through. */
export async function opsError(cause: unknown, call: FailedCall): Promise<OpsError> {
  if (cause instanceof OpsError) return cause;
  const lost = cause instanceof LostAttempt;
  const source = lost ? cause.source : cause;
  const fact = facts(source);
  const code = lost && call.writes ? "outcome_unknown" : codeOf(source, call.writes);
  const denied = code === "access_denied" ? deniedAction(fact.message, call) : `${call.service}:${call.operation}`;
  const login = code.startsWith("credentials_") ? await call.login() : "";
  const sentence = SENTENCES[code] ?? SENTENCES.internal!;
  return new OpsError(code, sentence(call, denied, login), {
    cause: lean(source, fact),
    details: {
      service: call.service,
      operation: call.operation,
      region: call.region,
      ...(code === "access_denied" && { action: denied }),
      ...(login !== "" && { login }),
      awsCode: foreign(
        fact.name === "Error" || fact.name === "SyntaxError" ? (fact.nodeCode ?? fact.name) : fact.name,
        80,
      ),
      awsMessage: foreign(fact.message),
      ...(fact.requestId !== undefined && { requestId: foreign(fact.requestId, 80) }),
    },
  });
}
