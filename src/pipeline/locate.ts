// Where a call looks: the region it names or the session's, and AWS there. Nothing ever falls back to a region of ours.
// What is about the record alone looks nowhere.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import type { Aws } from "../core/ports.js";

export interface LocateDeps {
  readonly aws: Aws;
  /** Where the change is that the input names by token or id. */
  readonly regionOfChange: (input: JsonObject) => Promise<string | undefined>;
}

export const locate =
  ({ aws, regionOfChange }: LocateDeps): Layer<Call, Outcome> =>
  async (call, next) => {
    if (call.entry!.tool.scope === "none") return next(call);
    const input = call.input!;
    const region = (input.region as string | undefined) ?? (await regionOfChange(input)) ?? (await aws.defaultRegion());
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
