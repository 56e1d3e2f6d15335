// What compliance costs at 1,000 and 10,000 resources: evaluation alone, and a scan end to end on moto where it is there.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { complianceOf, type Tagged } from "../../policies/tagging/evaluate.js";
import { policyFrom } from "../../policies/tagging/policy.js";
import { createAws } from "../../src/aws/index.js";
import type { Clock } from "../../src/core/ports.js";
import { taggedView } from "../../tools/tags/scan.js";
import { emulatedEnvironment } from "../emulated/clients.js";
import { motoFor } from "../emulated/moto.js";
import { rawAws } from "../emulated/raw-aws.js";

const SIZES = [1_000, 10_000];
/** Milliseconds for 10,000 evaluations. */
const AIM = 200;
const ROUNDS = 7;

const clock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => setTimeout(ms, undefined, { ref: false, ...(signal && { signal }) }),
};
const root = process.cwd();
const policy = policyFrom(JSON.parse(readFileSync(join(root, "policies/tagging_policy.json"), "utf8")));
const VALUES = [
  { Environment: "production", Owner: "web@example.com", CostCenter: "CC-1234" },
  { Environment: "prod", Owner: "nobody", CostCenter: "1234" },
  { Team: "x", owner: "web@example.com" },
  {},
] as const;

const resources = (count: number): Tagged[] =>
  Array.from({ length: count }, (_, index) => ({
    resource_id: `vol-${index}`,
    resource_type: "ec2:volume",
    region: "eu-west-1",
    arn: `arn:aws:ec2:eu-west-1:123456789012:volume/vol-${index}`,
    account_id: "123456789012",
    // No two owners alike, so that nothing is answered from what was matched before.
    tags: Object.fromEntries(
      Object.entries(VALUES[index % VALUES.length]!).map(([key, value]) => [
        key,
        key === "Owner" ? `team${index}-${value}` : value,
      ]),
    ),
  }));

const median = (times: readonly number[]): number => [...times].sort((a, b) => a - b)[times.length >> 1]!;
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const write = (name: string, ms: number, more = ""): void =>
  say(`${name.padEnd(38)} ${ms.toFixed(1).padStart(9)} ms${more}`);

for (const size of SIZES) {
  const all = resources(size);
  const times = Array.from({ length: ROUNDS }, () => {
    // A policy of its own each round: patterns remember what they matched.
    const fresh = policyFrom(policy.file);
    const began = performance.now();
    const found = complianceOf(fresh, all, [], "2026-03-01T00:00:00.000Z");
    const took = performance.now() - began;
    if (found.total !== size) throw new Error("not everything was evaluated");
    return took;
  });
  const ms = median(times);
  const aim = size === 10_000 ? `   aim ${AIM} ms: ${ms <= AIM ? "met" : "MISSED"}` : "";
  write(`evaluate ${size} resources`, ms, aim);
}

const moto = await motoFor("bench compliance");
if (moto) {
  const aws = rawAws(moto.endpoint);
  Object.assign(process.env, emulatedEnvironment(moto.endpoint));
  const live = createAws({ env: process.env, region: "eu-west-1", version: "bench", clock, log: () => {} });
  const { tagged } = await live.reader("eu-west-1");
  const question = {
    types: ["ec2:instance"],
    regions: ["eu-west-1"],
    concurrency: 1,
    timeoutMs: 300_000,
    globalTypes: new Set<string>(),
  };
  let made = 0;
  for (const size of SIZES) {
    // Many by one call: moto takes its time for each request.
    while (made < size) {
      const many = Math.min(500, size - made);
      await aws.query("ec2", "RunInstances", {
        ...{ ImageId: "ami-12c6146b", MinCount: many, MaxCount: many, "TagSpecification.1.ResourceType": "instance" },
        ...{ "TagSpecification.1.Tag.1.Key": "Environment", "TagSpecification.1.Tag.1.Value": "production" },
      });
      made += many;
    }
    const began = performance.now();
    const scans = await tagged.scan(question, () => {});
    const found = scans.flatMap((scan) => scan.resources);
    const views = found.map(taggedView);
    const judged = complianceOf(policyFrom(policy.file), views, [], "2026-03-01T00:00:00.000Z");
    if (judged.total !== size)
      throw new Error(`not everything was found: ${JSON.stringify(scans.map((scan) => scan.unread))}`);
    write(`scan and evaluate ${size} on moto`, performance.now() - began);
  }
  live.close();
  await moto.stop();
}
