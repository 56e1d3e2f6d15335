// Broken products, played by bending the calls of the real one: what a test of protection has to catch.

import type {
  AuthorizeSecurityGroupIngressResult,
  DescribeSecurityGroupRulesResult,
  DescribeSecurityGroupsResult,
} from "@aws-sdk/client-ec2";
import type { RawCall, Transport } from "../../src/aws/api.js";
import type { Bend } from "./stage.js";

const isRead = ({ operation }: RawCall): boolean => /^(Describe|Get(?!ResourceRequestStatus))/.test(operation);
const isDry = ({ input }: RawCall): boolean => "DryRun" in input && input.DryRun === true;

/** Nothing is read again between the apply and its write: what the plan saw is taken for true. */
const skipsTheReRead: Bend = (transport, doing) => {
  const remembered = new Map<string, unknown>();
  let wrote = false;
  return async (call) => {
    const key = JSON.stringify([call.service, call.operation, call.input]);
    if (doing() !== "apply") wrote = false;
    else if (call.writes) wrote = true;
    else if (isRead(call) && !wrote && remembered.has(key)) return remembered.get(key);
    const answer = await transport(call);
    if (isRead(call) && doing() !== "apply") remembered.set(key, answer);
    return answer;
  };
};

/** Rules are removed by their place in the list that the plan saw. */
const removesByPosition: Bend = (transport, doing) => {
  let seen: readonly (string | undefined)[] = [];
  const idsOf = (answer: unknown): (string | undefined)[] =>
    ((answer as DescribeSecurityGroupRulesResult).SecurityGroupRules ?? []).map((rule) => rule.SecurityGroupRuleId);
  const bent: Transport = async (call) => {
    if (/^RevokeSecurityGroup/.test(call.operation) && !isDry(call)) {
      const { GroupId = "", SecurityGroupRuleIds = [] } = call.input as {
        GroupId?: string;
        SecurityGroupRuleIds?: string[];
      };
      const listed = { Filters: [{ Name: "group-id", Values: [GroupId] }] };
      const now = idsOf(
        await transport({ ...call, operation: "DescribeSecurityGroupRules", input: listed, writes: false }),
      );
      const ids = SecurityGroupRuleIds.map((id) => now[seen.indexOf(id)] ?? id);
      return transport({ ...call, input: { ...call.input, SecurityGroupRuleIds: ids } });
    }
    const answer = await transport(call);
    if (call.operation === "DescribeSecurityGroupRules" && doing() !== "apply") seen = idsOf(answer);
    return answer;
  };
  return bent;
};

/** Cloud Control is sent the edits without their guards. */
const patchesUnguarded: Bend = (transport) => (call) => {
  if (call.operation !== "UpdateResource") return transport(call);
  const input = call.input as { PatchDocument: string };
  const edits = (JSON.parse(input.PatchDocument) as { op: string }[]).filter(({ op }) => op !== "test");
  return transport({ ...call, input: { ...input, PatchDocument: JSON.stringify(edits) } });
};

/** A token that was executed before is executed again by the same call under another client token. */
const sendsTwice: Bend = (transport) => async (call) => {
  const answer = await transport(call);
  if (call.operation === "RunInstances" && !isDry(call)) {
    await transport({ ...call, input: { ...call.input, ClientToken: "another" } });
  }
  return answer;
};

export const BROKEN: Readonly<Record<string, Bend>> = {
  "the re-read before the write is skipped": skipsTheReRead,
  "rules are removed by position instead of id": removesByPosition,
  "patches are sent without their tests": patchesUnguarded,
  "a launch is sent twice under two client tokens": sendsTwice,
};

/**
 * What a product does that takes any change of a group during an apply for an excuse: the rules that its own first call
 * made, and whether somebody has set a tag since. Tags are none of these plans' business.
 */
const once =
  (spoil: (call: RawCall, own: readonly string[], send: Transport) => Promise<unknown>): Bend =>
  (transport, doing) => {
    let own: string[] = [];
    let tags: string | undefined;
    let tagged = false;
    return async (call) => {
      if (doing() !== "apply") [own, tags, tagged] = [[], undefined, false];
      else if (tagged && own.length > 0 && !isDry(call)) return spoil(call, own, transport);
      const answer = await transport(call);
      if (doing() !== "apply") return answer;
      if (call.operation === "AuthorizeSecurityGroupIngress" && !isDry(call)) {
        const { SecurityGroupRules = [] } = answer as AuthorizeSecurityGroupIngressResult;
        own = SecurityGroupRules.map(({ SecurityGroupRuleId = "" }) => SecurityGroupRuleId);
      }
      if (call.operation === "DescribeSecurityGroups") {
        const now = JSON.stringify((answer as DescribeSecurityGroupsResult).SecurityGroups?.map(({ Tags }) => Tags));
        tagged ||= tags !== undefined && tags !== now;
        tags ??= now;
      }
      return answer;
    };
  };

const without = (answer: unknown, ids: readonly string[]): DescribeSecurityGroupRulesResult => {
  const { SecurityGroupRules = [], ...rest } = answer as DescribeSecurityGroupRulesResult;
  return {
    ...rest,
    SecurityGroupRules: SecurityGroupRules.filter(({ SecurityGroupRuleId = "" }) => !ids.includes(SecurityGroupRuleId)),
  };
};

/** It no longer sees its own rule, and stops or says that somebody was there. */
const overlooksItsOwn = once(async (call, own, send) => {
  const answer = await send(call);
  return call.operation === "DescribeSecurityGroupRules" ? without(answer, own) : answer;
});

/** It takes its own rule back with those it removes, and says that somebody was there. */
const undoesItsOwn = once(async (call, own, send) => {
  const { GroupId } = call.input as { GroupId?: string };
  if (call.operation === "RevokeSecurityGroupIngress")
    await send({ ...call, input: { GroupId, SecurityGroupRuleIds: own } });
  return send(call);
});

/** Products that excuse themselves with somebody who did something else between two calls of theirs. */
export const BROKEN_BETWEEN_CALLS: Readonly<Record<string, Bend>> = {
  "its own rule is overlooked once somebody has set a tag": overlooksItsOwn,
  "its own rule is taken back once somebody has set a tag": undoesItsOwn,
};
