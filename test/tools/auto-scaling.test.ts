// What scaled a group since a time, in process: AWS lists activities by when they began, and asked for is also what ended.

import { afterEach, expect, it } from "vitest";
import type { ScalingActivity } from "../../src/core/content/auto-scaling.js";
import type { Aws } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

let session: InMemory;
afterEach(() => session.close());

const activity = (activityId: string, startedAt: string, endedAt: string): ScalingActivity => ({
  activityId,
  groupName: "workers",
  status: "Successful",
  description: "",
  cause: "",
  startedAt: `2026-11-${startedAt}:00Z`,
  endedAt: `2026-11-${endedAt}:00Z`,
  instanceIds: [],
});
const PAGES = [
  [activity("new", "21T09:30", "21T09:31"), activity("short", "21T08:05", "21T08:06")],
  [activity("long", "21T08:00", "21T09:10")],
  [activity("old", "18T08:00", "18T08:01")],
  [activity("never asked for", "17T08:00", "17T08:01")],
];

it("an activity that ended after the time is not lost behind one that began later and ended before", async () => {
  const asked: string[] = [];
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    async reader(...where) {
      const real = await aws.reader(...where);
      const activities = async ({ cursor = "0" }: { cursor?: string }) => {
        asked.push(cursor);
        return { items: PAGES[Number(cursor)]!, ...(PAGES[Number(cursor) + 1] && { next: `${Number(cursor) + 1}` }) };
      };
      return { ...real, scaling: { ...real.scaling, activities } };
    },
  });
  session = await inMemory({ args: ["--toolsets", "all"], wrap });
  const found: string[] = [];
  let cursor: string | undefined;
  do {
    const answer = await session.call("autoscaling_activities", {
      since: "2026-11-21T10:00:00+01:00",
      ...(cursor && { cursor }),
    });
    found.push(...answer.activities.map((one: ScalingActivity) => one.activityId));
    cursor = answer.nextCursor;
  } while (cursor);
  expect(found).toEqual(["new", "long"]);
  expect(asked).toEqual(["0", "1", "2"]);
});
