// Every error this product answers: one table, read by the code, the tests and the generated documentation.

/** Who can mend it: the caller by another call, the operator of the machine or account, or we. */
export type FixableBy = "caller" | "operator" | "us";

interface CodeRow {
  readonly means: string;
  readonly fixableBy: FixableBy;
  readonly retriable: boolean;
}

const row = (means: string, fixableBy: FixableBy, retriable = false): CodeRow => ({ means, fixableBy, retriable });

/** Code → what it means. AWS is untouched under every one of these but `aws_failed` and `outcome_unknown`. */
export const CODES = {
  unknown_tool: row("No tool has this name.", "caller"),
  not_implemented: row("A tool of an earlier server that this one does not have; `next` names the nearest.", "caller"),
  rate_limited: row(
    "This session asked for too many tools that do not exist; the answer says when to go on.",
    "caller",
    true,
  ),
  security_violation: row(
    "An argument holds what only attacks hold, or a control character; `field` names it.",
    "caller",
  ),
  budget_exhausted: row(
    "This session has made as many calls as its budget allows; the answer says when it is renewed.",
    "operator",
    true,
  ),
  loop_detected: row("The same call was made again and again; its earlier answers hold.", "caller"),
  audit_unavailable: row(
    "The audit log cannot be written, and the operator allows no call without its row.",
    "operator",
    true,
  ),
  timed_out: row(
    "The call took longer than the operator lets one take. A read was given up; a change goes on, and is recorded.",
    "caller",
  ),
  call_cancelled: row("The call was cancelled before it had an answer.", "caller"),
  unknown_operation: row(
    "This server has handed over no call of this id, or no longer keeps what it came to.",
    "caller",
  ),
  validation_error: row("An argument is missing, unknown or malformed; `field` names it.", "caller"),
  unknown_region: row("AWS has no region of this name.", "caller"),
  unknown_account: row("The account is none that the operator lets this server use.", "operator"),
  region_missing: row("No region was given and none is configured.", "caller"),
  invalid_cursor: row("The cursor was made for another query, account or region, or has expired.", "caller"),
  not_found: row("AWS says the resource does not exist in this account and region.", "caller"),
  rule_exists: row("The security group already has this rule.", "caller"),
  nothing_to_change: row("Live AWS already is as asked.", "caller"),
  unsupported: row(
    "This resource or request cannot be handled this way; the message says which way is right.",
    "caller",
  ),
  replacement_needed: row("The change needs a new resource in place of this one.", "caller"),
  precondition_required: row("The change replaces or removes, and `basedOn` was not given.", "caller"),
  stale_revision: row("The resource changed since the revision in `basedOn` was read.", "caller"),
  live_guard_failed: row("AWS refused the change because the resource moved during the call.", "caller"),
  wrong_state: row("The resource's status does not allow this now; `status` is what AWS calls it.", "caller", true),
  in_use: row("Something still uses the resource; `usedBy` names it.", "caller"),
  resource_busy: row("Another change holds this resource.", "caller", true),
  stack_owned: row("A CloudFormation stack owns the resource; it is changed by its stack.", "operator"),
  unknown_token: row("No plan was issued for this execution token by this store.", "caller"),
  token_expired: row("The execution token is past its expiry.", "caller"),
  token_spent: row("The execution token was used before; a token executes once.", "caller"),
  identity_mismatch: row("The caller, account or store is not the one the token was issued to.", "operator"),
  plan_mismatch: row("The stored plan is not the one the token was issued for.", "operator"),
  change_cancelled: row("The change was cancelled.", "caller"),
  unknown_change: row("No change has this id.", "caller"),
  approval_required: row(
    "A human has to approve this change outside the model: in a form of the host, or in a terminal.",
    "operator",
  ),
  forbidden_by_operator: row("The operator's never-allow list names this change.", "operator"),
  unsafe_change: row("A security finding of this plan is one the operator blocks.", "caller"),
  budget_spent: row("As many resources were made or deleted in this hour as the operator allows.", "operator"),
  no_history: row("The state holds no lineage of this resource, or none under this token.", "caller"),
  read_only: row("The server was started without --allow-writes.", "operator"),
  credentials_missing: row("No AWS credentials were found.", "operator"),
  credentials_expired: row("The AWS credentials have expired.", "operator"),
  credentials_invalid: row("AWS does not accept these credentials.", "operator"),
  access_denied: row("AWS denied the call; the message names the action where AWS does.", "operator"),
  not_enabled: row("The account does not have this AWS service switched on.", "operator"),
  throttled: row("AWS is limiting the rate of calls.", "caller", true),
  aws_unavailable: row("AWS could not be reached or failed before doing anything.", "operator", true),
  aws_rejected: row("AWS refused the request and changed nothing.", "caller"),
  already_exists: row("AWS already has a resource of this name; it is never overwritten.", "caller"),
  aws_failed: row("AWS failed while the change was being made; the answer says what was done.", "operator"),
  outcome_unknown: row(
    "The change was sent and its outcome is not known yet; it is recorded and will be settled.",
    "operator",
  ),
  state_unreadable: row(
    "The state folder holds a file that is damaged, foreign or edited; nothing was changed in it.",
    "operator",
  ),
  state_read_only: row("The state folder cannot take a commit, so nothing may be changed in AWS.", "operator"),
  key_unavailable: row(
    "A key of the stored secrets cannot be used: its file is missing, the passphrase is another one, or KMS refused.",
    "operator",
  ),
  not_in_sandbox: row("The sandbox does not know this call.", "caller"),
  internal: row("A fault of ours; the log on stderr has the details.", "us"),
} as const satisfies Record<string, CodeRow>;

export type ErrorCode = keyof typeof CODES;

/** A call that would help, in canonical names; the edge writes it in the wire spelling. */
export interface NextCall {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface OpsErrorOptions {
  /** The argument or property at fault. */
  readonly field?: string;
  /** Facts a program can act on. Text from AWS stands in its own fields, never in the message. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly next?: readonly NextCall[];
  readonly cause?: unknown;
}

/** A refusal or failure with a code of the table. The message says what happened, what is true now, what to do next. */
export class OpsError extends Error {
  readonly code: ErrorCode;
  readonly field?: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly next: readonly NextCall[];

  constructor(code: ErrorCode, message: string, options: OpsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "OpsError";
    this.code = code;
    if (options.field !== undefined) this.field = options.field;
    this.details = options.details ?? {};
    this.next = options.next ?? [];
  }

  get retriable(): boolean {
    return CODES[this.code].retriable;
  }

  get fixableBy(): FixableBy {
    return CODES[this.code].fixableBy;
  }
}
