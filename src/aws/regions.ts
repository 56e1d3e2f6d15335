// Is there a region of this name? The built-in list says yes at once; a name it lacks is asked of AWS, for regions are added.

import { OpsError } from "../core/errors.js";
import { toItsEnd } from "../core/given-up.js";
import type { Api } from "./api.js";
import { foreign } from "./foreign.js";
import { looksLikeRegion, nearestRegions, REGION_NAMES } from "./region-list.js";

function unknownRegion(region: string, confirmed: boolean): OpsError {
  const nearest = nearestRegions(region);
  return new OpsError(
    "unknown_region",
    `AWS has no region of the name given${confirmed ? "" : " that this version knows, and AWS could not be asked"}. ` +
      `The nearest names are ${nearest.join(", ")}.`,
    { field: "region", details: { region: foreign(region, 64), nearest, confirmed } },
  );
}

/** @throws OpsError unknown_region; a name that cannot be one is refused without asking AWS. */
export function checkShape(region: string): void {
  if (!looksLikeRegion(region)) throw unknownRegion(region, true);
}

/** One checker a process: what AWS confirmed once stays confirmed. `home` is an API in a region known to exist. */
export function regionCheck(home: () => Promise<Api>): (region: string) => Promise<void> {
  const known = new Set(REGION_NAMES);
  return async (region) => {
    if (known.has(region)) return;
    checkShape(region);
    // That nobody waits for the answer any more says nothing of the name.
    const listed = await toItsEnd(async () =>
      (await home()).call("ec2", "DescribeRegions", { AllRegions: true }),
    ).catch(() => {
      throw unknownRegion(region, false);
    });
    for (const { RegionName } of listed.Regions ?? []) if (RegionName) known.add(RegionName);
    if (!known.has(region)) throw unknownRegion(region, true);
  };
}
