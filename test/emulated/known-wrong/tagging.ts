// Resource Groups Tagging API.
import type { RawAws, RawOptions } from "../raw-aws.js";
import { given, launched, wrong } from "./fault.js";

const arn = (id: string) => `arn:aws:ec2:eu-west-1:123456789012:instance/${id}`;

const tag = (aws: RawAws, id: string, Tags: Record<string, string>) =>
  aws.json("tagging", "TagResources", { ResourceARNList: [arn(id)], Tags });

const twice = async (aws: RawAws) => {
  for (const id of [await launched(aws), await launched(aws)]) await tag(aws, id, { team: "web" });
};

const hasDuplicates = (items: readonly string[] = []) => new Set(items).size < items.length;

export const taggingFaults = [
  wrong(
    "tagging.TagResources",
    "a missing instance is not in FailedResourcesMap",
    "InvalidParameterException in the map",
    async (aws) => {
      await aws.query("ec2", "DescribeInstances"); // else: InternalServiceException "Service not yet supported"
      const answer = await tag(aws, "i-0000000000000dead", { team: "web" });
      const { FailedResourcesMap } = answer.json as { FailedResourcesMap?: object };
      return answer.status === 200 && Object.keys(FailedResourcesMap ?? {}).length === 0;
    },
  ),
  wrong(
    "tagging.TagResources",
    "keys starting with aws: are accepted",
    "refused, the prefix is reserved",
    async (aws) => {
      const id = await launched(aws);
      await tag(aws, id, { "aws:owner": "web" });
      return (await aws.query("ec2", "DescribeTags")).all("key").includes("aws:owner");
    },
  ),
  wrong("tagging.GetTagKeys", "a key on two resources comes twice", "once", async (aws) => {
    await twice(aws);
    return hasDuplicates(((await aws.json("tagging", "GetTagKeys")).json as { TagKeys?: string[] }).TagKeys);
  }),
  wrong("tagging.GetTagValues", "a value on two resources comes twice", "once", async (aws) => {
    await twice(aws);
    return hasDuplicates(
      ((await aws.json("tagging", "GetTagValues", { Key: "team" })).json as { TagValues?: string[] }).TagValues,
    );
  }),
  wrong("tagging.GetResources", "once a second account was used, every ARN comes twice", "once", async (aws) => {
    await tag(aws, await launched(aws), { team: "web" });
    const role = { RoleArn: "arn:aws:iam::210987654321:role/other", RoleSessionName: "s" };
    const session = await aws.query("sts", "AssumeRole", role);
    const other: RawOptions = {
      accessKeyId: given(session.xml("AccessKeyId"), session.text),
      sessionToken: given(session.xml("SessionToken"), session.text),
    };
    await aws.query("ec2", "DescribeInstances", {}, other);
    const { ResourceTagMappingList = [] } = (await aws.json("tagging", "GetResources")).json as {
      ResourceTagMappingList?: { ResourceARN: string }[];
    };
    return hasDuplicates(ResourceTagMappingList.map(({ ResourceARN }) => ResourceARN));
  }),
];
