// What the tag tools take in common: types, regions, filters. The names are those that users' prompts hold already.

import { z } from "zod";

/** More names than there are types is a mistake. */
export const ResourceTypes = z
  .array(z.string().regex(/^(all|[a-z0-9-]+:[a-z0-9-]+)$/, "must look like ec2:instance, or be all"))
  .min(1)
  .max(60)
  .describe("Policy types such as ec2:instance, or all; 4 to 6 a call");

const RegionName = z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d+$/, "must look like us-east-1");
export const Regions = z
  .union([RegionName, z.array(RegionName).min(1).max(20)])
  .transform((given) => (typeof given === "string" ? [given] : given));

const AccountId = z.string().regex(/^\d{12}$/, "must be 12 digits");

export const Filters = z
  .strictObject({
    region: Regions.optional(),
    regions: Regions.optional(),
    account_id: z
      .union([AccountId, z.array(AccountId).min(1)])
      .transform((given) => (typeof given === "string" ? [given] : given))
      .optional(),
  })
  .describe("region(s), account_id");
export type Filters = z.infer<typeof Filters>;

export const SeverityFilter = z.enum(["all", "errors_only", "warnings_only"]).default("all");

export const Arn = z
  .string()
  .max(1_011)
  .regex(
    /^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}|):[A-Za-z0-9\-/:._*$@+=]+$/,
    "must be an ARN such as arn:aws:ec2:us-east-1:123456789012:instance/i-0123456789abcdef0",
  );

export const ForceRefresh = z.boolean().default(false).describe("Ask AWS even where a scan is cached");
export const IncludeCosts = z.boolean().default(false).describe("Ask Cost Explorer, $0.01 a request");
export const Limit = z.number().int().min(1).max(1_000).default(50).describe("Rows shown of each list");
