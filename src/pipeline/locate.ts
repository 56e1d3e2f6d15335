// Where a call looks: the region it names or the session's, and AWS there. Nothing ever falls back to a region of ours.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { Aws } from "../core/ports.js";

export interface LocateDeps {
  readonly aws: Aws;
}

export const locate =
  ({ aws }: LocateDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    const region = (call.input?.region as string | undefined) ?? (await aws.defaultRegion());
    if (!region) {
      throw new OpsError(
        "region_missing",
        "No region was given and none is configured. Give `region`, or start the server with --region or AWS_REGION.",
        { field: "region" },
      );
    }
    const reader = await aws.reader(region);
    const outcome = await next({ ...call, aws: reader });
    return { account: reader.account, region: reader.region, ...outcome };
  };
