// Danger 2, stale security groups and silent rule deletion, on moto: the story as it is told, then random variations of it.
// The oracle knows nothing of the server: it compares what moto holds with what the engineer did and the assistant was shown.

import {
  AuthorizeSecurityGroupIngressCommand,
  CreateSecurityGroupCommand,
  DescribeSecurityGroupRulesCommand,
  DescribeVpcsCommand,
  ModifySecurityGroupRulesCommand,
  RevokeSecurityGroupIngressCommand,
} from "@aws-sdk/client-ec2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Product, startProduct } from "../emulated/product.js";
import type { Answer, Assistant } from "../harness.js";
import { playAll, type Random } from "./variations.js";

const product = await startProduct("danger 2 on moto", import.meta.url);
const intent = "clean up the security group, remove anything we do not need";

interface Rule {
  readonly id: string;
  readonly port: number;
  readonly cidr: string;
}
const traffic = ({ port, cidr }: Omit<Rule, "id">): string => `tcp/${port} from ${cidr}`;

describe.skipIf(!product)("danger 2 on moto", () => {
  const { proxy, outsider, ledger } = (product ?? {}) as Product;
  let assistant: Assistant;
  let vpcId: string;

  const made = async (GroupName: string) =>
    (await outsider.ec2.send(new CreateSecurityGroupCommand({ GroupName, Description: "api", VpcId: vpcId }))).GroupId!;
  const permission = ({ port, cidr }: Omit<Rule, "id">) => ({
    IpProtocol: "tcp",
    FromPort: port,
    ToPort: port,
    IpRanges: [{ CidrIp: cidr }],
  });
  const allow = (GroupId: string, ...rules: readonly Omit<Rule, "id">[]) =>
    outsider.ec2.send(new AuthorizeSecurityGroupIngressCommand({ GroupId, IpPermissions: rules.map(permission) }));
  const revoke = (GroupId: string, ...SecurityGroupRuleIds: string[]) =>
    outsider.ec2.send(new RevokeSecurityGroupIngressCommand({ GroupId, SecurityGroupRuleIds }));
  const modify = (GroupId: string, id: string, { port, cidr }: Omit<Rule, "id">) =>
    outsider.ec2.send(
      new ModifySecurityGroupRulesCommand({
        GroupId,
        SecurityGroupRules: [
          {
            SecurityGroupRuleId: id,
            SecurityGroupRule: { IpProtocol: "tcp", FromPort: port, ToPort: port, CidrIpv4: cidr },
          },
        ],
      }),
    );
  const live = async (id: string): Promise<Rule[]> => {
    const { SecurityGroupRules = [] } = await outsider.ec2.send(
      new DescribeSecurityGroupRulesCommand({ Filters: [{ Name: "group-id", Values: [id] }] }),
    );
    return SecurityGroupRules.filter(({ IsEgress }) => !IsEgress).map((rule) => ({
      id: rule.SecurityGroupRuleId!,
      port: rule.FromPort!,
      cidr: rule.CidrIpv4!,
    }));
  };
  const apply = (planned: Answer): Promise<Answer> =>
    assistant.call("changes_apply", { executionToken: planned.data.executionToken });

  async function anew(): Promise<void> {
    await assistant?.close();
    await product!.moto.reset();
    proxy.clear();
    vpcId = (await outsider.ec2.send(new DescribeVpcsCommand({}))).Vpcs![0]!.VpcId!;
    assistant = await product!.start();
  }

  beforeAll(anew);
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("tells the operator of the rule an engineer added, instead of deleting it", async () => {
    const group = await made("sg-prod");
    await allow(group, { port: 443, cidr: "0.0.0.0/0" });
    const seen = await assistant.call("securityGroups_get", { groupId: group, direction: "ingress" });
    expect(seen.data.securityGroup.rules).toMatchObject([{ fromPort: 443, peer: "0.0.0.0/0" }]);

    await allow(group, { port: 22, cidr: "10.0.0.0/8" });

    const full = await assistant.call("securityGroups_get", { groupId: group });
    expect(full.data.staleNotices[0].what).toContain(group);
    const cleaned = (basedOn: string) =>
      assistant.call("securityGroups_update", {
        groupId: group,
        rules: [{ fromPort: 443, peer: "0.0.0.0/0" }],
        basedOn,
        intent,
      });
    // From what it saw first, nothing of the engineer's can be planned away.
    const stale = await cleaned(seen.data.revision);
    expect(stale.data, JSON.stringify(stale.data)).toMatchObject({ code: "nothing_to_change" });
    expect(JSON.stringify(stale.data)).toContain("tcp/22 from 10.0.0.0/8");
    // From the whole group as it was, the change is refused and named.
    await allow(group, { port: 5432, cidr: "10.1.0.0/16" });
    const refused = await cleaned(full.data.revision);
    expect(refused.data).toMatchObject({ code: "stale_revision", nothingWasChanged: true });
    expect(refused.data.message).toContain("tcp/5432 from 10.1.0.0/16");
    expect((await live(group)).map(({ port }) => port).sort()).toEqual([22, 443, 5432]);
  });

  it("gives no wrong answer in any variation", { timeout: 3_600_000 }, async () => {
    const wrong = await playAll("danger 2", variation, anew);
    expect(wrong).toEqual([]);
  });

  const ruleOf = (random: Random): Omit<Rule, "id"> => ({
    port: random.pick([22, 80, 443, 3306, 5432, 8080, 8443, 9000]),
    cidr: random.pick(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16"]),
  });

  /** An engineer adds rules, removes some, makes one anew, or makes something else of one, whose id stays. */
  async function engineer(random: Random, group: string): Promise<void> {
    const there = await live(group);
    const fresh = Array.from({ length: random.below(3) }, () => ruleOf(random)).filter(
      (rule, index, all) => ![...there, ...all.slice(0, index)].some((other) => traffic(other) === traffic(rule)),
    );
    if (fresh.length > 0) await allow(group, ...fresh);
    const gone = random.chance(0.3) ? random.some(there, 0.3) : [];
    if (gone.length > 0) await revoke(group, ...gone.map(({ id }) => id));
    if (gone[0] && random.chance(0.5)) await allow(group, gone[0]);
    const now = await live(group);
    const other = ruleOf(random);
    if (now[0] && random.chance(0.3) && !now.some((rule) => traffic(rule) === traffic(other)))
      await modify(group, random.pick(now).id, other);
  }

  async function variation(random: Random, number: number): Promise<string | null> {
    const group = await made(`variation-${number}-${random.below(1_000_000_000)}`);
    const first = Array.from({ length: 1 + random.below(7) }, () => ruleOf(random));
    await allow(group, ...first.filter((rule, at) => first.findIndex((one) => traffic(one) === traffic(rule)) === at));

    const look = random.pick(["whole", "page", "ingress", "list"] as const);
    const read: Answer =
      look === "list"
        ? await assistant.call("securityGroups_list", { groupIds: [group] })
        : await assistant.call("securityGroups_get", {
            groupId: group,
            ...(look === "page" ? { limit: 1 + random.below(4), direction: "ingress" } : {}),
            ...(look === "ingress" ? { direction: "ingress" } : {}),
          });
    const revision: string = look === "list" ? read.data.securityGroups[0].revision : read.data.revision;
    const shown: { ruleId: string; direction: string; fromPort: number; peer: string }[] =
      look === "list" ? [] : read.data.securityGroup.rules;
    const shownAs = new Map(
      shown.map(({ ruleId, fromPort, peer }) => [ruleId, traffic({ port: fromPort, cidr: peer })]),
    );
    const ingress = shown.filter(({ direction }) => direction === "ingress");

    if (random.chance(0.7)) await engineer(random, group);
    const keep = random.some(ingress, 0.6);
    const add = random.chance(0.3) ? [ruleOf(random)] : [];
    const basedOn = random.pick([revision, revision, revision, revision, undefined, "", "r7-deadbeef"]);
    const how = random.pick(["update", "update", "removeRule"] as const);
    const given = basedOn === undefined ? {} : { basedOn };
    const target = ingress[0];
    const before = await live(group);
    const planned: Answer =
      how === "removeRule" && target
        ? await assistant.call("securityGroups_removeRule", { groupId: group, ruleId: target.ruleId, intent, ...given })
        : await assistant.call("tools_run", {
            tool: "securityGroups.update",
            arguments: {
              groupId: group,
              rules: [
                ...keep.map(({ fromPort, peer }) => ({ fromPort, peer })),
                ...add.map(({ port, cidr }) => ({ fromPort: port, peer: cidr })),
              ],
              intent,
              ...given,
            },
          });
    const same = (a: readonly Rule[], b: readonly Rule[]): boolean =>
      a.length === b.length &&
      a.every((rule) => b.some((other) => other.id === rule.id && traffic(other) === traffic(rule)));
    if (!same(before, await live(group))) return "a plan changed AWS";
    const isUpdate = how === "update" || !target;
    if (basedOn !== revision && !planned.isError) return "planned without proof of what was seen";
    if (isUpdate && look === "list" && !planned.isError) return "planned from a list that showed no rules";
    const asShown = ({ id, ...rule }: Rule): boolean => shownAs.get(id) === traffic(rule);
    const isThere = before.some((rule) => rule.id === target?.ruleId && asShown(rule));
    if (!isUpdate && basedOn === revision && isThere && planned.isError)
      return "refused to remove a rule that is as it was shown";
    if (planned.isError) return planned.data.nothingWasChanged === true ? null : "a refusal without its word";

    if (random.chance(0.4)) await engineer(random, group);
    const atApply = await live(group);
    const applied = await apply(planned);
    const after = await live(group);
    const removed = atApply.filter((rule) => !after.some(({ id }) => id === rule.id));
    const stranger = removed.find((rule) => !asShown(rule));
    if (stranger) return `${traffic(stranger)} was removed, and no answer ever showed it so`;
    const kept = removed.find(({ id }) => isUpdate && keep.some(({ ruleId }) => ruleId === id));
    if (kept) return `${traffic(kept)} was removed, and the list named it`;
    if (!isUpdate && removed.some(({ id }) => id !== target?.ruleId)) return "more was removed than one rule";
    const made2 = after.filter((rule) => !atApply.some(({ id }) => id === rule.id));
    if (
      made2.some(
        (rule) =>
          !add.some((one) => traffic(one) === traffic(rule)) &&
          !keep.some((one) => traffic(rule) === `tcp/${one.fromPort} from ${one.peer}`),
      )
    ) {
      return "a rule appeared that nobody asked for";
    }
    if (applied.isError) {
      if (applied.data.nothingWasChanged === true && !same(atApply, after))
        return "said that nothing was changed, and something was";
      if (
        applied.data.code === "stale_revision" &&
        !(applied.data.changed?.length > 0) &&
        applied.data.stepsDone === undefined
      ) {
        return "refused as stale without naming what changed";
      }
      return null;
    }
    const told: { ruleId: string; direction: string }[] = applied.data.resources[0].properties.rules;
    const toldIds = told.filter(({ direction }) => direction === "ingress").map(({ ruleId }) => ruleId);
    if (
      toldIds.sort().join() !==
      after
        .map(({ id }) => id)
        .sort()
        .join()
    )
      return "the answer does not say what is live";
    const again = await apply(planned);
    if (!same(after, await live(group))) return "a spent token changed AWS";
    return again.data.repeated?.code === "token_spent" ? null : "a spent token was not called spent";
  }
});
