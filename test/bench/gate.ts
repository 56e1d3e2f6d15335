// What a plan and its apply cost beyond the bare calls: CPU time with an AWS that answers at once, and calls to AWS by name.

import type { Transport } from "../../src/aws/api.js";
import { inMemory } from "../in-memory.js";
import { account } from "../interleavings/account.js";
import { ARGS } from "../interleavings/stage.js";

const ROUNDS = Number(process.env.ROUNDS ?? 200);
const WARM_UP = 50;
const GROUP = "sg-0bb00000000000001";
const BUCKET = { type: "AWS::S3::Bucket", identifier: "assets" };
const intent = "measure";
/** A plan's own time on top of AWS's, by our target. */
const MOST_CPU_MS = 5;

interface Told {
  readonly [field: string]: unknown;
  readonly revision: string;
  readonly executionToken: string;
}
type Call = (tool: string, args: Record<string, unknown>) => Promise<Told>;

interface Story {
  readonly name: string;
  /** Reads as any caller would, before anything is measured. */
  readonly before?: (call: Call, round: number) => Promise<Record<string, unknown>>;
  readonly plan: (round: number, known: Record<string, unknown>) => readonly [string, Record<string, unknown>];
  /** Resources that a plan must read, and an apply must read again. */
  readonly guarded: number;
  /** Calls that one look at the resource is made of. */
  readonly look: number;
  /** Looks after the call, or calls, until what is there is known: one for each, two where AWS fills in what it made. */
  readonly lookedBack: number;
}

const STORIES: readonly Story[] = [
  {
    name: "securityGroups.addRule",
    guarded: 1,
    look: 2,
    lookedBack: 1,
    plan: (round) => [
      "securityGroups_addRule",
      { groupId: GROUP, rule: { fromPort: 10_000 + round, peer: "10.0.0.0/8" }, intent },
    ],
  },
  {
    name: "securityGroups.update (2 calls)",
    guarded: 1,
    look: 2,
    lookedBack: 2,
    before: async (call) => ({ basedOn: (await call("securityGroups_get", { groupId: GROUP })).revision }),
    plan: (round, known) => [
      "securityGroups_update",
      { groupId: GROUP, rules: [{ fromPort: 30_000 + round, peer: "10.0.0.0/8" }], intent, ...known },
    ],
  },
  {
    name: "resources.update",
    guarded: 1,
    look: 1,
    lookedBack: 1,
    before: async (call) => ({ basedOn: (await call("resources_get", BUCKET)).revision }),
    plan: (round, known) => [
      "resources_update",
      { ...BUCKET, properties: { VersioningConfiguration: { Status: `s${round}` } }, intent, ...known },
    ],
  },
  {
    name: "instances.launch",
    guarded: 0,
    look: 1,
    lookedBack: 2,
    plan: () => ["instances_launch", { imageId: "ami-0cc00000000000001", instanceType: "t3.micro", count: 1, intent }],
  },
];

/** Calls to AWS and the time that the account itself takes to answer, which is none of ours. */
function meter() {
  let calls: string[] = [];
  let account = 0;
  const counted =
    (transport: Transport): Transport =>
    async (call) => {
      const dry = "DryRun" in call.input && call.input.DryRun === true ? " (dry run)" : "";
      calls.push(`${call.service}:${call.operation}${dry}`);
      const start = cpu();
      try {
        return await transport(call);
      } finally {
        account += cpu() - start;
      }
    };
  return {
    counted,
    /** What was counted since the last time. */
    take() {
      const taken = { calls, account };
      calls = [];
      account = 0;
      return taken;
    },
  };
}

const cpu = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const tally = (calls: readonly string[]): string =>
  [...new Set(calls)].map((name) => `${calls.filter((one) => one === name).length} ${name}`).join(", ") || "none";
const out = (text: string) => process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  out(
    `CPU ms over an account that answers at once, medians of ${ROUNDS} after ${WARM_UP}; calls to AWS of the last round.
Beyond the bare calls an apply looks once at each guarded resource, and reads back after each call: the answer says that AWS
took it, and only the read says what it came to, which is what the durable outcome is.`,
  );
  for (const { name, before, plan, guarded, look, lookedBack } of STORIES) {
    const { counted, take } = meter();
    const place = account({ before: () => {}, after: () => {} }, counted);
    place.control.put(BUCKET.type, BUCKET.identifier, {});
    const session = await inMemory({ args: ARGS, wrap: () => place.aws });
    const call: Call = async (tool, args) => {
      const answer = await session.call(tool, args);
      if (answer.isError) throw new Error(`${tool}: ${JSON.stringify(answer)}`);
      return answer;
    };
    const measured: Record<"plan" | "apply", { own: number[]; calls: string[] }> = {
      plan: { own: [], calls: [] },
      apply: { own: [], calls: [] },
    };
    const timed = async (what: "plan" | "apply", tool: string, args: Record<string, unknown>): Promise<Told> => {
      take();
      const start = cpu();
      const answer = await call(tool, args);
      const spent = cpu() - start;
      const { calls, account: theirs } = take();
      measured[what].own.push(Math.max(0, spent - theirs));
      measured[what].calls = calls;
      return answer;
    };
    for (let round = 0; round < ROUNDS + WARM_UP; round++) {
      const known = (await before?.(call, round)) ?? {};
      const planned = await timed("plan", ...plan(round, known));
      await timed("apply", "changes_apply", { executionToken: planned.executionToken });
      // The group stays as large as it was: what grows with it would be measured otherwise.
      place.edit((region) => {
        for (const [id, { fromPort }] of Object.entries(region.rules))
          if (fromPort >= 10_000 && fromPort < 30_000) delete region.rules[id];
      });
    }
    for (const what of ["plan", "apply"] as const) {
      const { own, calls } = measured[what];
      const spent = median(own.slice(WARM_UP));
      const late = what === "plan" && spent > MOST_CPU_MS ? `  over ${MOST_CPU_MS}` : "";
      out(`${name.padEnd(32)} ${what.padEnd(6)} ${spent.toFixed(2).padStart(6)} ms${late}   ${tally(calls)}`);
    }
    const looks = measured.apply.calls.filter((one) => /:(Describe|GetResource$)/.test(one)).length / look;
    const more = looks > guarded + lookedBack;
    if (more) process.exitCode = 1;
    out(
      `${"".padEnd(32)} apply looks ${guarded} × before, ${looks - guarded} × after${more ? "  MORE THAN NEEDED" : ""}`,
    );
    await session.close();
  }
}

await main();
