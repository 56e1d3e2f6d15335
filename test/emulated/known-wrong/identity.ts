// STS and IAM. With enforcement on, signatures count: these probes use the SDK's signer.
import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { GetResourcesCommand, ResourceGroupsTaggingAPIClient } from "@aws-sdk/client-resource-groups-tagging-api";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import type { RawAws } from "../raw-aws.js";
import { type Bench, given, wrong } from "./fault.js";

const policy = (Action: string, Effect = "Allow") =>
  JSON.stringify({ Version: "2012-10-17", Statement: [{ Effect, Action, Resource: "*" }] });

const user = async (aws: RawAws, allows: string) => {
  await aws.query("iam", "CreateUser", { UserName: "u" });
  await aws.query("iam", "PutUserPolicy", { UserName: "u", PolicyName: "p", PolicyDocument: policy(allows) });
  const answer = await aws.query("iam", "CreateAccessKey", { UserName: "u" });
  return {
    accessKeyId: given(answer.xml("AccessKeyId"), answer.text),
    secretAccessKey: given(answer.xml("SecretAccessKey"), answer.text),
  };
};

const nameOf = (asking: Promise<unknown>) => asking.then(() => "allowed").catch((error: Error) => error.name);

/** What the tagging API says to a user who may do this: its error as the SDK reads it, else "allowed". */
const asTagging = async (aws: RawAws, { endpoint, enforceIam }: Bench, allows: string) => {
  const credentials = await user(aws, allows);
  const tagging = new ResourceGroupsTaggingAPIClient({ endpoint, region: "eu-west-1", maxAttempts: 1, credentials });
  await enforceIam();
  const outcome = await nameOf(tagging.send(new GetResourcesCommand({})));
  tagging.destroy();
  return outcome;
};

export const identityFaults = [
  wrong(
    "tagging.GetResources",
    "a denied call of a JSON service is answered in XML",
    "AccessDeniedException in JSON",
    async (aws, bench) => (await asTagging(aws, bench, "ec2:Describe*")) === "SyntaxError",
  ),
  wrong(
    "tagging.GetResources",
    "IAM's action is tagging:GetResources",
    "tag:GetResources",
    async (aws, bench) => (await asTagging(aws, bench, "tagging:GetResources")) === "allowed",
  ),
  wrong("ec2.DescribeRegions", "lists the regions of other partitions", "those of one's own", async (aws) =>
    /<regionName>cn-north-1</.test((await aws.query("ec2", "DescribeRegions")).text),
  ),
  wrong("sts.AssumeRole", "a role that does not exist can be assumed", "AccessDenied", async (aws) => {
    const fields = { RoleArn: "arn:aws:iam::123456789012:role/none", RoleSessionName: "s" };
    return (await aws.query("sts", "AssumeRole", fields)).xml("AccessKeyId") !== undefined;
  }),
  wrong(
    "sts.AssumeRole",
    "the session policy is ignored",
    "it limits the session",
    async (aws, { endpoint, enforceIam }) => {
      const trust = policy("sts:AssumeRole");
      const role = await aws.query("iam", "CreateRole", { RoleName: "r", AssumeRolePolicyDocument: trust });
      const RoleArn = given(role.xml("Arn"), role.text);
      await aws.query("iam", "PutRolePolicy", { RoleName: "r", PolicyName: "p", PolicyDocument: policy("ec2:*") });
      const common = { endpoint, region: "eu-west-1", maxAttempts: 1 };
      const sts = new STSClient({ ...common, credentials: await user(aws, "*") });
      const command = new AssumeRoleCommand({ RoleArn, RoleSessionName: "s", Policy: policy("ec2:*", "Deny") });
      const { Credentials: { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = {} } =
        await sts.send(command);
      const session = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
      const ec2 = new EC2Client({ ...common, credentials: session });
      await enforceIam();
      const outcome = await nameOf(ec2.send(new DescribeInstancesCommand({})));
      for (const client of [sts, ec2]) client.destroy();
      return outcome === "allowed";
    },
  ),
  wrong(
    "ec2.RunInstances",
    "a denied DryRun says AccessDenied",
    "UnauthorizedOperation",
    async (aws, { endpoint, enforceIam }) => {
      const credentials = await user(aws, "ec2:Describe*");
      const ec2 = new EC2Client({ endpoint, region: "eu-west-1", maxAttempts: 1, credentials });
      await enforceIam();
      const allowed = await nameOf(ec2.send(new DescribeInstancesCommand({})));
      given(allowed === "allowed" || undefined, `the control call was ${allowed}`);
      const dry = new RunInstancesCommand({ ImageId: "ami-12c6146b", MinCount: 1, MaxCount: 1, DryRun: true });
      const outcome = await nameOf(ec2.send(dry));
      ec2.destroy();
      return outcome.startsWith("AccessDenied");
    },
  ),
];
