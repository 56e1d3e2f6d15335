// Several accounts on moto: each by a role or a profile of the operator's list, chosen by a call, and bound to its changes.

import { mkdirSync, writeFileSync } from "node:fs";
import { DescribeImagesCommand, DescribeInstancesCommand, EC2Client } from "@aws-sdk/client-ec2";
import { CreateAccountAliasCommand, IAMClient } from "@aws-sdk/client-iam";
import { AssumeRoleCommand } from "@aws-sdk/client-sts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";
import type { AwsRequest } from "./wire.js";

const product = await startProduct("several accounts on moto", import.meta.url);

const OWN = "123456789012";
const PROD = "222222222222";
const STAGING = "333333333333";
const PROD_ROLE = `arn:aws:iam::${PROD}:role/operator`;

describe.skipIf(!product)("several accounts on moto", () => {
  const { proxy, outsider, ledger, calls, moto } = (product ?? {}) as Product;
  let assistant: Assistant;
  let imageId: string;
  let env: Record<string, string>;
  const accounts = `prod=${PROD_ROLE},staging=profile:acme-staging`;

  const start = (args: readonly string[] = []) => product!.start({ args: ["--accounts", accounts, ...args], env });
  /** Somebody else in another account. */
  const ec2Of = async (account: string, region: string): Promise<EC2Client> => {
    const { Credentials } = await outsider.sts.send(
      new AssumeRoleCommand({ RoleArn: `arn:aws:iam::${account}:role/outsider`, RoleSessionName: "outsider" }),
    );
    const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials!;
    return new EC2Client({
      endpoint: moto.endpoint,
      region,
      credentials: { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken },
    });
  };
  const instancesIn = async (ec2: EC2Client): Promise<string[]> => {
    const { Reservations = [] } = await ec2.send(new DescribeInstancesCommand({}));
    return Reservations.flatMap(({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId!));
  };
  const isReal = ({ params }: AwsRequest): boolean => String(params.DryRun) !== "true";
  const launch = (more: object) => ({ imageId, instanceType: "t3.micro", intent: "one more worker", ...more });

  beforeAll(async () => {
    await moto.reset();
    const { Images = [] } = await outsider.ec2.send(new DescribeImagesCommand({ Owners: ["amazon"] }));
    imageId = Images[0]!.ImageId!;
    const home = `${product!.stateDir}-home`;
    mkdirSync(home, { recursive: true });
    writeFileSync(
      `${home}/config`,
      `[profile acme-staging]\nrole_arn=arn:aws:iam::${STAGING}:role/operator\nsource_profile=acme-base\nregion=us-west-2\n` +
        "[profile acme-base]\naws_access_key_id=AKIAEMULATED\naws_secret_access_key=emulated\n" +
        "[profile elsewhere]\nrole_arn=arn:aws:iam::444444444444:role/operator\nsource_profile=acme-base\n",
    );
    env = { AWS_CONFIG_FILE: `${home}/config` };
    assistant = await start();
  });
  beforeEach(() => proxy.clear());
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  it("assumes nothing before a call names an account, and shows `account` in its schemas only with a list", async () => {
    const who = await assistant.call("session_whoami");
    expect(who.isError, JSON.stringify(who.data)).toBe(false);
    expect(who.data).toMatchObject({
      account: OWN,
      otherAccounts: [{ name: "prod", account: PROD }, { name: "staging" }],
    });
    expect(calls("sts", "AssumeRole")).toEqual([]);
    const takes = async (server: Assistant) =>
      (await server.tools()).filter(
        ({ inputSchema }) => "account" in (inputSchema as { properties: object }).properties,
      );
    expect((await takes(assistant)).map(({ name }) => name)).toContain("instances_list");
    expect(await takes(await product!.start())).toEqual([]);
  });

  it.each([
    ["a listed name", "prod", PROD, "eu-west-1"],
    ["a role", PROD_ROLE, PROD, "eu-west-1"],
    ["an account id", PROD, PROD, "eu-west-1"],
    ["a listed profile, in that profile's region", "staging", STAGING, "us-west-2"],
    ["a profile's name", "acme-staging", STAGING, "us-west-2"],
    ["an account id that only AWS can tell", STAGING, STAGING, "us-west-2"],
    ["its own account's id", OWN, OWN, "eu-west-1"],
  ])("knows an account by %s", async (_, account, id, region) => {
    const who = await assistant.call("session_whoami", { account });
    expect(who.data, JSON.stringify(who.data)).toMatchObject({ account: id, region });
    expect(who.data.accountAlias).toBe(id === PROD ? "prod" : id === STAGING ? "staging" : undefined);
    expect(who.data.arn).toContain(id === OWN ? OWN : `assumed-role/operator/`);
  });

  it("refuses an account that is not listed, names those that are, and assumes nothing", async () => {
    for (const account of ["elsewhere", "444444444444", "arn:aws:iam::444444444444:role/operator"]) {
      proxy.clear();
      const refused = await assistant.call("instances_list", { account });
      expect(refused.data, account).toMatchObject({
        code: "unknown_account",
        field: "account",
        allowed: [{ name: "prod", account: PROD }, { name: "staging" }],
      });
      expect(refused.data.message).toContain("prod (222222222222), staging");
      expect(proxy.calls({ service: "ec2" })).toEqual([]);
      expect(JSON.stringify(calls("sts", "AssumeRole"))).not.toContain("444444444444");
    }
  });

  it("keeps lists, cursors and revisions of accounts apart", async () => {
    const own = await assistant.call("instances_list");
    const prod = await assistant.call("instances_list", { account: "prod", region: "*" });
    expect(own.data.account).toBe(OWN);
    expect(prod.data).toMatchObject({ account: PROD, accountAlias: "prod", region: "*" });
    expect(prod.data.staleNotices).toBeUndefined();
  });

  it("plans where the call says, and applies there by the token alone", async () => {
    const prod = await ec2Of(PROD, "eu-west-1");
    const planned = await assistant.call("instances_launch", launch({ account: "prod" }));
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    expect(planned.data).toMatchObject({ account: PROD, accountAlias: "prod", region: "eu-west-1" });
    expect(planned.data.next.arguments).toMatchObject({ account: PROD, region: "eu-west-1" });
    const { executionToken } = planned.data;
    const elsewhere = await assistant.call("changes_apply", { executionToken, account: OWN });
    expect(elsewhere.data).toMatchObject({
      code: "identity_mismatch",
      field: "executionToken",
      nothingWasChanged: true,
    });
    const staging = await assistant.call("changes_apply", { executionToken, account: "staging" });
    expect(staging.data.code).toBe("identity_mismatch");
    expect(calls("ec2", "RunInstances").filter(isReal)).toEqual([]);
    const applied = await assistant.call("changes_apply", { executionToken });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ account: PROD, outcome: "applied" });
    expect(await instancesIn(prod)).toHaveLength(1);
    expect(await instancesIn(outsider.ec2)).toEqual([]);
    const change = await assistant.call("changes_get", { changeId: planned.data.change.changeId });
    expect(change.data).toMatchObject({ account: PROD, change: { state: "applied" } });
    const again = await assistant.call("changes_apply", { executionToken });
    expect(again.data).toMatchObject({ account: PROD, repeated: { code: "token_spent" } });
  });

  it("says of what is outdated where it is, also in an answer about another account", async () => {
    const prod = await ec2Of(PROD, "eu-west-1");
    const [instanceId] = (await instancesIn(prod)) as [string];
    const shown = await assistant.call("instances_get", { instanceId, account: "prod" });
    expect(shown.isError, JSON.stringify(shown.data)).toBe(false);
    const other = await start();
    const planned = await other.call("instances_terminate", {
      instanceIds: [instanceId],
      basedOn: [shown.data.revision],
      account: PROD,
      intent: "no longer needed",
    });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    const applied = await other.call("changes_apply", { executionToken: planned.data.executionToken });
    expect(applied.data, JSON.stringify(applied.data)).toMatchObject({ account: PROD, outcome: "applied" });
    const answer = await assistant.call("regions_list");
    expect(answer.data.account).toBe(OWN);
    const about = answer.data.staleNotices.find(({ what }: { what: string }) => what.endsWith(instanceId));
    expect(about.readAgainWith.arguments).toMatchObject({ account: expect.stringMatching(/^(prod|2{12})$/) });
  });

  it("settles what a dead process left open in the account it was left in", async () => {
    const args = ["--state", `${product!.stateDir}-killed`];
    const prod = await ec2Of(PROD, "eu-west-1");
    const before = await instancesIn(prod);
    const first = await start(args);
    const planned = await first.call("instances_launch", launch({ account: "prod" }));
    const held = gate();
    proxy.rule({ service: "ec2", operation: "RunInstances", where: isReal, after: () => held.closed });
    const lost = first.call("changes_apply", { executionToken: planned.data.executionToken }).catch(() => "lost");
    while ((await instancesIn(prod)).length === before.length);
    process.kill(first.pid, "SIGKILL");
    expect(await lost).toBe("lost");
    const second = await start(args);
    const change = await second.call("changes_get", { changeId: planned.data.change.changeId });
    held.open();
    expect(change.data, JSON.stringify(change.data)).toMatchObject({ account: PROD, change: { state: "applied" } });
    expect(await instancesIn(prod)).toHaveLength(before.length + 1);
    expect(await instancesIn(outsider.ec2)).toEqual([]);
  });

  it("calls its own account as IAM does, once that was asked; where it may not ask, nothing fails", async () => {
    const iam = new IAMClient({
      endpoint: moto.endpoint,
      region: "us-east-1",
      credentials: { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" },
    });
    await iam.send(new CreateAccountAliasCommand({ AccountAlias: "acme-hub" }));
    const fresh = await start();
    expect((await fresh.call("regions_list")).data.accountAlias).toBeUndefined();
    expect((await fresh.call("session_whoami")).data.accountAlias).toBe("acme-hub");
    expect((await fresh.call("regions_list")).data.accountAlias).toBe("acme-hub");
    expect(calls("iam", "ListAccountAliases")).toHaveLength(1);
    proxy.rule({
      service: "iam",
      operation: "ListAccountAliases",
      times: Number.POSITIVE_INFINITY,
      answer: { status: 403, code: "AccessDenied", message: "no" },
    });
    const denied = await start();
    const who = await denied.call("session_whoami");
    expect(who.isError).toBe(false);
    expect(who.data.accountAlias).toBeUndefined();
    await denied.call("session_whoami");
    expect(calls("iam", "ListAccountAliases")).toHaveLength(2);
  });
});
