// Where services without regions answer, by partition. They are called there, whatever region a call is about.

import { OpsError } from "../core/errors.js";

export type HomedService = "ce" | "pricing" | "iam" | "organizations";

/** `null`: the partition does not offer it. */
const HOMES: Readonly<Record<string, Readonly<Record<HomedService, string | null>>>> = {
  aws: { ce: "us-east-1", pricing: "us-east-1", iam: "us-east-1", organizations: "us-east-1" },
  "aws-cn": { ce: "cn-northwest-1", pricing: "cn-northwest-1", iam: "cn-north-1", organizations: "cn-northwest-1" },
  "aws-us-gov": { ce: "us-gov-west-1", pricing: null, iam: "us-gov-west-1", organizations: "us-gov-west-1" },
};

const NAMES: Readonly<Record<HomedService, string>> = {
  ce: "Cost Explorer",
  pricing: "The Price List API",
  iam: "IAM",
  organizations: "AWS Organizations",
};

/**
 * The region to call a service without regions in. A partition that is not listed is asked where the caller is, and the SDK
 * knows its endpoints.
 * @throws OpsError unsupported where the partition does not offer the service.
 * @example homeOf("ce", "arn:aws:iam::123456789012:user/me", "eu-west-1") // "us-east-1"
 */
export function homeOf(service: HomedService, arn: string, region: string): string {
  const partition = arn.split(":")[1] ?? "";
  const home = Object.hasOwn(HOMES, partition) ? HOMES[partition]![service] : region;
  if (home !== null) return home;
  throw new OpsError(
    "unsupported",
    `${NAMES[service]} is not offered in the partition of these credentials, so it was not called. Ask with credentials of the account in the standard partition.`,
    { details: { service, partition } },
  );
}
