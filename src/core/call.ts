// A call on its way through the machine, and what comes back.

import type { z } from "zod";
import type { Change, Resolution, RiskLevel, Seen } from "./change.js";
import type { OpsError } from "./errors.js";
import type { JsonObject } from "./json.js";
import type { AwsReader } from "./ports.js";
import type { Tool } from "./tool.js";

/** What a human is asked outside the model's reach: to type the name of what a change is about. */
export interface ApprovalForm {
  readonly changeId: string;
  readonly planDigest: string;
  /** As which the plan is shown: a yes to less is none to more. */
  readonly risk: RiskLevel;
  readonly message: string;
  /** What has to be typed. */
  readonly phrase: string;
}

/** What came back for a form that this server sealed. What was typed is the client's word. */
export interface ApprovalReply {
  readonly changeId: string;
  readonly planDigest: string;
  readonly risk: RiskLevel;
  readonly action: "accept" | "decline" | "cancel";
  readonly typed: string;
}

/** What the edge knows of a call. */
export interface CallContext {
  readonly client: string;
  progress(message: string, done?: number, total?: number): void;
  /** Present where the client can show a human a form. A call that ends with a form is to be repeated with its reply. */
  askHuman?(form: ApprovalForm): void;
  /** The reply to the form of the round before. */
  readonly reply?: ApprovalReply;
}

/** A tool under its canonical name, with the schema its calls are checked against. */
export interface CallEntry {
  readonly name: string;
  readonly domain: string;
  readonly tool: Tool;
  readonly input: z.ZodObject;
}

/** A call under the name and the arguments that count. */
export interface Meant {
  /** Canonical where there is such a tool, else as the client wrote it. */
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly entry?: CallEntry;
}

/** A tool's name for logs and rows: one that nobody registered is the caller's text. */
export const plainName = (name: string): string => name.replace(/[^\w.:-]/g, "?").slice(0, 64);

export interface Call {
  /** As the client wrote it. */
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly context: CallContext;
  readonly at: Date;
  /** Set by `correlate`: one for everything that comes of this call, its row, its log lines, its answer. */
  readonly id?: string;
  /** Set by `correlate`: what it is judged as; through tools.run, the call that is wrapped. */
  readonly meant?: Meant;
  /** Set by `lookup`. */
  readonly entry?: CallEntry;
  /** Set by `validate`. */
  readonly input?: JsonObject;
  /** Set by `locate`: AWS for the account and region of this call. */
  readonly aws?: AwsReader;
  /** Set by `locate` where all regions are asked: `aws` is then one of them. */
  readonly everywhere?: Regions;
}

/** AWS in several regions of one account. */
export interface Regions {
  readonly names: readonly string[];
  reader(region: string): Promise<AwsReader>;
}

/** What an answer shows of one region, and the call that shows it again. */
export interface ShownIn {
  readonly region: string;
  readonly seen: readonly Seen[];
  readonly beside?: readonly Seen[];
  readonly listed?: readonly Seen[];
  readonly complete: boolean;
  readonly arguments: JsonObject;
}

/** Something read earlier in this session that is known to be outdated. */
export interface StaleNotice {
  readonly what: string;
  readonly youSaw: JsonObject;
  readonly now?: JsonObject;
  readonly since: string;
  readonly readAgainWith: { readonly tool: string; readonly arguments: JsonObject };
}

/** An operation whose outcome nothing proves: its resource stays held until somebody decides. */
export interface ParkedNotice {
  readonly operationId: string;
  readonly changeId: string;
  /** Ends in `/` where it is a create that AWS gave no id yet. */
  readonly rid: string;
  readonly what: string;
  readonly since: string;
  readonly because: string;
  readonly choices: readonly Resolution["choice"][];
  readonly decideWith: { readonly tool: string; readonly arguments: JsonObject };
}

/** Facts for StateSync: which tool's policy speaks, and whether AWS changed. */
export interface SyncFacts {
  readonly tool: string;
  readonly outcome: "applied" | "unknown";
  readonly account: string;
  readonly region: string;
}

export type Outcome = (
  | {
      readonly status: "ok";
      readonly data: JsonObject;
      readonly seen?: readonly Seen[];
      readonly beside?: readonly Seen[];
      readonly listed?: readonly Seen[];
      readonly complete?: boolean;
      /** `seen` by region, where several were asked. */
      readonly places?: readonly ShownIn[];
    }
  | { readonly status: "planned"; readonly data: JsonObject; readonly change: Change; readonly token: string }
  | { readonly status: "refused"; readonly error: OpsError }
  | { readonly status: "failed"; readonly error: OpsError; readonly applied: "no" | "maybe" }
) & {
  readonly sync?: SyncFacts;
  readonly staleNotices?: readonly StaleNotice[];
  readonly parked?: readonly ParkedNotice[];
  readonly account?: string;
  readonly accountAlias?: string;
  readonly region?: string;
  /** The call's, so that the answer names it. */
  readonly correlationId?: string;
  /** Said from a share of the session's budget on. */
  readonly budget?: JsonObject;
};
