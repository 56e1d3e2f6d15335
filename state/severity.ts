// How bad a difference is, from what it is and which way it goes. One table, one sentence why. Pure.

import { isWorld, STATEFUL } from "../policies/types.js";
import type { Rule } from "../src/core/content/security-groups.js";
import { isObject, type Json } from "../src/core/json.js";

export const SEVERITIES = ["INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL"] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface Judged {
  readonly severity: Severity;
  readonly because: string;
  /** Judged by names alone, because no rule knows the type. */
  readonly heuristic?: true;
}

export const worst = (severities: readonly Severity[]): Severity | null =>
  severities.length === 0 ? null : SEVERITIES[Math.max(...severities.map((severity) => SEVERITIES.indexOf(severity)))]!;

/** One level up: what runs in production hurts more. */
export const raised = (severity: Severity): Severity =>
  SEVERITIES[Math.min(SEVERITIES.indexOf(severity) + 1, SEVERITIES.length - 1)]!;

/** One level down: what an AWS service does by itself is mostly meant. */
export const lowered = (severity: Severity): Severity => SEVERITIES[Math.max(SEVERITIES.indexOf(severity) - 1, 0)]!;

export interface ToJudge {
  readonly type: string;
  readonly path: string;
  readonly kind: "ADD" | "REMOVE" | "NOT_EQUAL";
  /** What we left, and what is there now: undefined where there is nothing. */
  readonly before: Json | undefined;
  readonly after: Json | undefined;
  readonly declared: boolean;
  /** The whole security group rule around the path, on both sides. */
  readonly rule?: { readonly before?: Rule; readonly after?: Rule };
}

const judged = (severity: Severity, because: string): Judged => ({ severity, because });

const WEB = new Set([80, 443]);
const GUARDED =
  /^AWS::(IAM|KMS)::|SecurityGroup|NetworkAcl|::Route$|RouteTable|Policy$|PublicAccessBlock|::WAF|::CloudTrail::/;

/** Deletion of a whole resource. */
export const judgeDeletion = (type: string): Judged =>
  STATEFUL.test(type)
    ? judged("CRITICAL", "a resource that holds data or keys is gone")
    : judged("HIGH", "the resource is gone");

/** The severity of one difference. */
export function judge(it: ToJudge): Judged {
  if (it.rule) return judgeRule(it, it.rule);
  const name = it.path.split("/").at(-1)!.toLowerCase();
  return (
    opening(it, name) ??
    closing(it, name) ??
    (isTag(it.path) ? judged("LOW", "a tag changed") : null) ??
    (/description$|comment$/.test(name) ? judged("LOW", "a description changed") : null) ??
    weighty(it, name) ??
    (it.declared
      ? { ...judged("MEDIUM", "a declared value changed"), ...(known(it.type) ? {} : { heuristic: true as const }) }
      : judged("INFO", "a value nobody declared here changed"))
  );
}

const known = (type: string): boolean => /^AWS::EC2::(Instance|SecurityGroup)$/.test(type);
const isTag = (path: string): boolean => /^\/[A-Za-z]*[Tt]ags([A-Z]\w*)?(\/|$)/.test(path);

const webOnly = ({ protocol, fromPort, toPort }: Rule): boolean =>
  protocol === "tcp" && fromPort !== undefined && fromPort === toPort && WEB.has(fromPort);

function judgeRule({ path, declared }: ToJudge, { before, after }: NonNullable<ToJudge["rule"]>): Judged {
  if (before && after && /\/description$/.test(path)) return judged("LOW", "a rule's description changed");
  if (before && after && /\/ruleId$/.test(path)) {
    return judged("INFO", "a rule was removed and made again: the same traffic, another id");
  }
  const open = (rule: Rule | undefined) => rule?.direction === "ingress" && isWorld(rule.peer);
  if (after && open(after) && !(before && open(before) && !wider(before, after))) {
    return webOnly(after)
      ? judged("HIGH", "a web port was opened to the whole internet")
      : judged("CRITICAL", "traffic from the whole internet is let in");
  }
  if (before && !after) {
    return declared
      ? judged("MEDIUM", "a declared rule is gone: what it let through is refused now")
      : judged("LOW", "a rule is gone: less traffic is let through");
  }
  if (before && after && open(before) && !open(after)) return judged("LOW", "a rule open to the internet was narrowed");
  return before ? judged("HIGH", "a rule lets other traffic through") : judged("HIGH", "a rule was added");
}

const wider = (before: Rule, after: Rule): boolean =>
  (before.protocol !== after.protocol && after.protocol === "-1") ||
  (after.fromPort ?? 0) < (before.fromPort ?? 0) ||
  (after.toPort ?? 65_535) > (before.toPort ?? 65_535);

const isOff = (value: Json | undefined): boolean =>
  value === undefined || value === null || value === false || value === "false" || value === 0;
const isOn = (value: Json | undefined): boolean => !isOff(value) && value !== "Suspended" && value !== "Disabled";

const PROTECTION = /deletionprotection|terminationprotection|disableapitermination/;
const ENCRYPTION = /encrypt|kmskeyid|kmsmasterkeyid|ssespecification|ssealgorithm/;
const PUBLIC_BLOCK = /^(blockpublicacls|blockpublicpolicy|ignorepublicacls|restrictpublicbuckets)$|publicaccessblock/;
const LOGGING = /^(islogging|enablelogfilevalidation|loggingconfiguration|loggingenabled|enablelogging)$/;
const BACKUP = /backupretentionperiod|pointintimerecovery/;

/** Changes that take a protection away. */
function opening({ type, path, before, after }: ToJudge, name: string): Judged | null {
  const lost = isOn(before) && isOff(after);
  if (lost && PROTECTION.test(name)) return judged("CRITICAL", "deletion protection is off");
  if (lost && (ENCRYPTION.test(name) || /encryption/i.test(path)))
    return judged("CRITICAL", "encryption is off or gone");
  if (lost && PUBLIC_BLOCK.test(name)) return judged("CRITICAL", "the block on public access was loosened");
  if (lost && LOGGING.test(name)) return judged("CRITICAL", "logging is off or gone");
  if (lost && type === "AWS::KMS::Key" && name === "enabled") return judged("CRITICAL", "the key is disabled");
  if (lost && BACKUP.test(name)) return judged("HIGH", "backups are off");
  if (isOn(before) && after === "Suspended" && /versioning/i.test(path))
    return judged("HIGH", "versioning is suspended");
  if (!publicIn(before) && publicIn(after)) return judged("CRITICAL", "traffic from the whole internet is let in");
  if (isPolicy(path) && !wildcard(before) && wildcard(after)) {
    return judged("CRITICAL", 'a policy now names Principal "*" or Action "*"');
  }
  if (
    isOff(before) &&
    isOn(after) &&
    /^(publiclyaccessible|associatepublicipaddress|mappubliciponlaunch)$/.test(name)
  ) {
    return judged("HIGH", "it is reachable from the internet now");
  }
  return null;
}

/** The same changes the other way: nothing was lost. */
function closing({ type, path, before, after }: ToJudge, name: string): Judged | null {
  const gained = isOff(before) && isOn(after);
  const guard =
    PROTECTION.test(name) ||
    PUBLIC_BLOCK.test(name) ||
    LOGGING.test(name) ||
    (type === "AWS::KMS::Key" && name === "enabled");
  if (gained && guard) return judged("LOW", "a protection was switched on");
  if (isOn(before) && isOff(after) && name === "publiclyaccessible")
    return judged("LOW", "it is no longer reachable from the internet");
  if (publicIn(before) && !publicIn(after)) return judged("LOW", "access from the whole internet was taken away");
  if (isPolicy(path) && wildcard(before) && !wildcard(after))
    return judged("LOW", "a wildcard was taken out of a policy");
  return null;
}

function weighty({ type, path }: ToJudge, name: string): Judged | null {
  if (GUARDED.test(type)) return judged("HIGH", "it decides who may do or reach what");
  if (isPolicy(path)) return judged("HIGH", "a policy decides who may do what");
  if (name === "engineversion") return judged("HIGH", "the engine version changed");
  if (ENCRYPTION.test(name)) return judged("HIGH", "it is encrypted with another key or in another way");
  return null;
}

const isPolicy = (path: string): boolean => /policy|assumerole|statement/i.test(path);

/** Whether a value holds, at any depth, an ingress peer that is the whole world. */
const publicIn = (value: Json | undefined): boolean =>
  typeof value === "string"
    ? isWorld(value)
    : Array.isArray(value)
      ? value.some(publicIn)
      : isObject(value) && ["CidrIp", "CidrIpv6", "peer"].some((key) => isWorld(value[key]));

const wildcard = (value: Json | undefined): boolean => {
  if (value === "*") return true;
  if (Array.isArray(value)) return value.some(wildcard);
  if (!isObject(value)) return false;
  if (value.Effect === "Deny") return false;
  const named = ["Principal", "Action", "AWS", "Statement"].some((key) => wildcard(value[key]));
  return named;
};

/** Whether tags, in any of AWS's shapes, mark a resource as production. */
export function isProduction(tags: Readonly<Record<string, Json>>): boolean {
  return Object.entries(tags).some(
    ([key, value]) =>
      /^(env|environment|stage|tier)$/i.test(key) &&
      typeof value === "string" &&
      /^(prod|production|live)$/i.test(value),
  );
}
