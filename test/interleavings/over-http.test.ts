// The same interleavings over HTTP: groups, instances and databases on moto, everything else on the scripted Cloud Control, so that what
// the SDK, the wire and a second implementation make of a call is part of them.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Aws } from "../../src/core/ports.js";
import { byScript, explore, holds, kept } from "./explore.js";
import { type HttpPlace, httpPlace } from "./over-http.js";
import { playOn } from "./play.js";
import { type Schedule, schedulesOf, WITH_DATABASE } from "./schedule.js";
import type { Stage, StageWatcher } from "./stage.js";

/** A schedule on moto takes a second or more. */
const ON_MOTO = Number(process.env.MOTO_SCHEDULES ?? (byScript ? 200 : 5));
/** Half of the things are no database, and few plans on one come to be applied. */
const ON_DATABASES = Number(process.env.MOTO_SCHEDULES ?? (byScript ? 200 : 20));
const ON_CONTROL = Number(process.env.HTTP_SCHEDULES ?? (byScript ? 2_000 : 40));
const LONG = { timeout: 10_800_000 };

let place: HttpPlace | undefined;
beforeAll(async () => {
  place = await httpPlace("interleavings over HTTP");
});
afterAll(() => place?.close());

const story = (name: string, run: (place: HttpPlace) => Promise<void>): void => {
  it(name, LONG, async ({ skip }) => {
    if (!place) skip();
    await run(place!);
  });
};

describe("interleavings that broke a promise once hold over HTTP", () => {
  for (const { broke, schedule } of kept()) {
    story(broke, async ({ stage }) => {
      await holds(schedule, stage);
    });
  }
});

describe("random interleavings over HTTP", () => {
  story(`lose no outside change on moto, in ${ON_MOTO} schedules`, async ({ stage, requests }) => {
    const before = requests();
    const { failure, seen } = await explore({
      count: ON_MOTO,
      among: schedulesOf(WITH_DATABASE),
      stage,
      where: "moto",
    });
    expect(failure).toBe("");
    for (const what of ["applied", "outside", "inCalls"]) expect(seen[what] ?? 0, what).toBeGreaterThan(0);
    expect(requests() - before).toBeGreaterThan(ON_MOTO * 10);
  });

  story(`lose no outside change to databases on moto, in ${ON_DATABASES} schedules`, async ({ stage, requests }) => {
    const before = requests("ModifyDBInstance");
    const among = schedulesOf(["bucket", "database"]);
    const { failure, seen } = await explore({ count: ON_DATABASES, among, stage, where: "databases" });
    expect(failure).toBe("");
    for (const what of ["applied", "outside", "inCalls"]) expect(seen[what] ?? 0, what).toBeGreaterThan(0);
    expect(requests("ModifyDBInstance"), "a database was changed").toBeGreaterThan(before);
  });

  story(`lose no outside change on the scripted Cloud Control, in ${ON_CONTROL} schedules`, async ({ stage }) => {
    const { failure, seen } = await explore({
      count: ON_CONTROL,
      among: schedulesOf(["bucket", "log"]),
      stage: (watch) => stage(watch, { ec2: false }),
      where: "Cloud Control",
    });
    expect(failure).toBe("");
    for (const what of ["applied", "outside", "inCalls", "stale_revision", "live_guard_failed"])
      expect(seen[what] ?? 0, what).toBeGreaterThan(0);
  });
});

/** An apply that takes what an instance was at its last read for what it is. */
function withoutReRead(aws: Aws, doing: StageWatcher["doing"], ids: Stage["ids"]): Aws {
  let frozen: Promise<object | null> | undefined;
  return {
    ...aws,
    reader: async (...given) => {
      const reader = await aws.reader(...given);
      const ref = { account: reader.account, region: reader.region, type: "AWS::EC2::Instance", id: ids.first };
      if (doing() !== "apply") frozen = reader.content(ref, "service");
      await frozen;
      return { ...reader, content: (of, name) => (of.id === ids.first ? frozen! : reader.content(of, name)) as never };
    },
  };
}

describe("a broken product is caught over HTTP", () => {
  const repurposed: Schedule = [
    { act: { kind: "read", thing: "first" }, during: [] },
    { act: { kind: "terminate", thing: "first", basis: "last" }, during: [] },
    { act: { kind: "outside", move: { kind: "tag", thing: "first", key: 1 } }, during: [] },
    { act: { kind: "apply", back: 0 }, during: [] },
  ];

  story("when the re-read before the write is skipped", async ({ stage }) => {
    await holds(repurposed, stage);
    const { violations } = await playOn(repurposed, (watch) => stage(watch, { wrap: withoutReRead }));
    expect(violations.join()).toContain("LOST: ec2:TerminateInstances overwrote what somebody else made of first/tag/");
  });
});
