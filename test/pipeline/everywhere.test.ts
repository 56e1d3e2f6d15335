// The step that asks all regions: bounds, merging, and what is said of regions that answer nothing.

import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Call, Outcome } from "../../src/core/call.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader, Clock } from "../../src/core/ports.js";
import { read } from "../../src/core/tool.js";
import { everywhere } from "../../src/pipeline/everywhere.js";
import { domains } from "../../tools/index.js";

const tool = read({
  title: "List things",
  description: "Things.",
  scope: "region",
  foreignText: false,
  input: z.object({}),
  output: z.object({}),
  everywhere: { rows: "things", sum: ["count", "byKind"] },
  run: () => Promise.reject(new Error("the step never runs a tool itself")),
});

const NAMES = Array.from({ length: 20 }, (_, index) => `r-${String(index).padStart(2, "0")}`);

/** A clock on which nobody's time is over until `pass`. */
function heldClock(): Clock & { pass(): void } {
  const sleeping: (() => void)[] = [];
  return {
    now: () => new Date("2026-11-21T10:00:00Z"),
    monotonic: () => 0,
    sleep: (_, signal) =>
      new Promise((resolve, reject) => {
        sleeping.push(resolve);
        signal?.addEventListener("abort", () => reject(new Error("over")));
      }),
    pass: () => {
      for (const wake of sleeping.splice(0)) wake();
    },
  };
}

type Region = (input: JsonObject) => Promise<Outcome>;
const ok = (data: JsonObject): Promise<Outcome> => Promise.resolve({ status: "ok", data });

function ask(
  regionOf: (region: string) => Region,
  {
    input = {},
    names = NAMES,
    progress = () => {},
  }: { input?: JsonObject; names?: string[]; progress?: Progress } = {},
  clock: Clock = heldClock(),
): Promise<Outcome> {
  const reader = (region: string) => ({ account: "1", region }) as AwsReader;
  const call: Call = {
    name: "things.list",
    arguments: {},
    context: { client: "test", progress },
    at: clock.now(),
    entry: { name: "things.list", domain: "things", tool, input: z.object({}) },
    input: { region: "*", ...input },
    aws: reader("r-00"),
    everywhere: { names, reader: async (region) => reader(region) },
  };
  return everywhere({ clock })(call, (one) => regionOf(one.aws!.region)(one.input!));
}
type Progress = (message: string, done?: number, total?: number) => void;

const dataOf = (outcome: Outcome): JsonObject => {
  if (outcome.status !== "ok") throw new Error(`not ok: ${JSON.stringify(outcome)}`);
  return outcome.data;
};

describe("all regions", () => {
  it("adds up what adds up, says once what is the same, and per region what is not", async () => {
    const data = dataOf(
      await ask(
        (region) => () =>
          region === "r-03" || region === "r-05"
            ? ok({
                count: 2,
                byKind: { a: 1, b: 1 },
                unit: "piece",
                oldest: region,
                things: [{ id: `${region}-1` }, { id: "2" }],
              })
            : ok({ count: 0, byKind: {}, unit: "piece", things: [] }),
      ),
    );
    expect(data).toEqual({
      unit: "piece",
      count: 4,
      byKind: { a: 2, b: 2 },
      things: [
        { region: "r-03", id: "r-03-1" },
        { region: "r-03", id: "2" },
        { region: "r-05", id: "r-05-1" },
        { region: "r-05", id: "2" },
      ],
      regions: [
        { region: "r-03", rows: 2, oldest: "r-03" },
        { region: "r-05", rows: 2, oldest: "r-05" },
      ],
      emptyRegions: NAMES.filter((name) => name !== "r-03" && name !== "r-05"),
    });
  });

  it("asks eight at once, and no more", async () => {
    let now = 0;
    let most = 0;
    const outcome = await ask(() => async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
      return ok({ things: [] });
    });
    expect(outcome.status).toBe("ok");
    expect(most).toBe(8);
  });

  it("waits ten seconds for a region, names it, and shows the others", async () => {
    const clock = heldClock();
    const answer = await ask(
      (region) => () => (region === "r-07" ? new Promise(() => {}) : ok({ count: 1, things: [{ id: region }] })),
      { progress: (_, done) => done === NAMES.length - 1 && clock.pass() },
      clock,
    );
    const data = dataOf(answer);
    expect(data.failedRegions).toEqual([
      { region: "r-07", code: "aws_unavailable", message: "The region did not answer within 10 s." },
    ]);
    expect(data.count).toBe(NAMES.length - 1);
    expect(data.emptyRegions).toEqual([]);
  });

  it("takes AWS's own word that a name does not exist in a region for an empty region, and for an error where no region has it", async () => {
    const absent = (): Promise<Outcome> =>
      Promise.resolve({ status: "refused", error: new OpsError("not_found", "There is no such thing.") });
    const data = dataOf(await ask((region) => () => (region === "r-01" ? ok({ things: [{ id: 1 }] }) : absent())));
    expect(data.failedRegions).toBeUndefined();
    expect(data.emptyRegions).toHaveLength(NAMES.length - 1);
    await expect(ask(() => absent)).rejects.toMatchObject({ code: "not_found" });
    const denied = (): Promise<Outcome> =>
      Promise.resolve({ status: "refused", error: new OpsError("access_denied", "AWS denied the call.") });
    await expect(ask((region) => (region === "r-09" ? denied : absent))).rejects.toMatchObject({
      code: "access_denied",
    });
  });

  it("shows a first page that is longer than the limit, and whole pages only after it", async () => {
    const rows = (count: number) => Array.from({ length: count }, (_, id) => ({ id }));
    const sizes: Record<string, number> = { "r-01": 30, "r-02": 10, "r-03": 20 };
    const regionOf = (region: string) => () => ok({ things: rows(sizes[region] ?? 0) });
    const shown: string[][] = [];
    let cursor: string | undefined;
    do {
      const data = dataOf(await ask(regionOf, { input: cursor === undefined ? {} : { cursor } }));
      shown.push([...new Set((data.things as { region: string }[]).map(({ region }) => region))]);
      cursor = data.nextCursor as string | undefined;
    } while (cursor);
    expect(shown).toEqual([["r-01"], ["r-02"], ["r-03"]]);
  });
});

it("every tool that declares it has what it names, and can be continued", () => {
  const declaring = domains.flatMap(({ name, tools }) =>
    Object.entries(tools).flatMap(([verb, one]) =>
      one.kind === "read" && one.everywhere ? [{ name: `${name}.${verb}`, one, declared: one.everywhere }] : [],
    ),
  );
  expect(declaring.map(({ name }) => name)).toContain("instances.list");
  for (const { name, one, declared } of declaring) {
    expect(one.scope, name).toBe("region");
    expect(Object.keys(one.output.shape), name).toEqual(expect.arrayContaining([declared.rows, ...declared.sum]));
    expect(one.output.shape[declared.rows], name).toBeInstanceOf(z.ZodArray);
    expect(Object.keys(one.input.shape), name).toContain("cursor");
    expect(Object.keys(one.output.shape), name).toContain("nextCursor");
  }
});
