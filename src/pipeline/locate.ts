// Where a call looks: the region it names or the session's, and AWS there. Nothing ever falls back to a region of ours.
// What is about the record alone looks nowhere.

import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { JsonObject } from "../core/json.js";
import type { Aws } from "../core/ports.js";
import { EVERYWHERE } from "../core/tool.js";

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
    if (input.region === EVERYWHERE) return everywhere(call, next, aws);
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

/** STS and EC2 answer here whatever the account has opted in to. */
const ANY_REGION = "us-east-1";

/** All regions the account may use, for a tool that can be asked about several; a plan is made in one. */
async function everywhere(call: Call, next: (call: Call) => Promise<Outcome>, aws: Aws): Promise<Outcome> {
  const { tool, name } = call.entry!;
  if (tool.kind !== "read" || !tool.everywhere) {
    const why = tool.kind === "plan" ? "A change is planned in one region" : `${name} looks in one region at a time`;
    throw new OpsError("validation_error", `${why}: name it, or leave \`region\` out for the session's.`, {
      field: "region",
      next: [{ tool: "regions.list", arguments: {} }],
    });
  }
  const home = await aws.reader((await aws.defaultRegion()) ?? ANY_REGION);
  if (tool.everywhere.global?.(call.input!)) {
    const outcome = await next({ ...call, aws: home, input: { ...call.input, region: home.region } });
    return { account: home.account, region: home.region, ...outcome };
  }
  const enabled = (await home.regions()).filter(({ optIn }) => optIn !== "not-opted-in");
  const names = enabled.map(({ region }) => region).sort();
  const outcome = await next({ ...call, aws: home, everywhere: { names, reader: (region) => aws.reader(region) } });
  return { account: home.account, region: EVERYWHERE, ...outcome };
}
