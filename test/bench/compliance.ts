// What compliance costs at 1,000 and 10,000 resources: evaluation alone, and a scan end to end on moto where it is there.

import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { cpus, loadavg } from "node:os";
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

// Figures in milliseconds mean little beside other work.
say(`${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`);
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

/**
 * Between this server and moto: EC2 counts instances to a page and moto counts reservations, so a page is asked of moto as one
 * reservation of as many instances. What moto takes to answer is counted, for it is not ours.
 */
async function pagingLikeEc2(target: string) {
  const spent = { ms: 0, bytes: 0, pages: 0 };
  const proxy = createHttpServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString();
    const asked = body.includes("Action=DescribeInstances") ? body.replace(/MaxResults=\d+/, "MaxResults=1") : body;
    const { authorization = "", "content-type": type = "" } = incoming.headers;
    const began = performance.now();
    const answer = await fetch(target, {
      method: incoming.method ?? "POST",
      headers: { authorization, "content-type": type },
      body: asked,
    });
    const text = Buffer.from(await answer.arrayBuffer());
    if (asked !== body) {
      spent.ms += performance.now() - began;
      spent.bytes += text.length;
      spent.pages++;
    }
    outgoing.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/xml" }).end(text);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, spent, stop: () => proxy.close() };
}

/** What EC2 puts on a page, and so what one call makes here. */
const PAGE = 1_000;

const moto = await motoFor("bench compliance");
if (moto) {
  const aws = rawAws(moto.endpoint);
  const paging = await pagingLikeEc2(moto.endpoint);
  Object.assign(process.env, emulatedEnvironment(paging.endpoint));
  const live = createAws({ env: process.env, region: "eu-west-1", version: "bench", clock, log: () => {} });
  const { tagged } = await live.reader("eu-west-1");
  const question = {
    types: ["ec2:instance"],
    regions: ["eu-west-1"],
    concurrency: 1,
    timeoutMs: 3_600_000,
    globalTypes: new Set<string>(),
  };
  let made = 0;
  for (const size of SIZES) {
    const setUp = performance.now();
    while (made < size) {
      await aws.query("ec2", "RunInstances", {
        ...{ ImageId: "ami-12c6146b", MinCount: PAGE, MaxCount: PAGE, "TagSpecification.1.ResourceType": "instance" },
        ...{ "TagSpecification.1.Tag.1.Key": "Environment", "TagSpecification.1.Tag.1.Value": "production" },
      });
      made += PAGE;
    }
    write(`moto makes them (up to ${size})`, performance.now() - setUp, "   not ours");
    Object.assign(paging.spent, { ms: 0, bytes: 0, pages: 0 });
    const cpu = process.cpuUsage();
    const began = performance.now();
    const scans = await tagged.scan(question, () => {});
    const found = scans.flatMap((scan) => scan.resources);
    const judged = complianceOf(policyFrom(policy.file), found.map(taggedView), [], "2026-03-01T00:00:00.000Z");
    const took = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    if (judged.total !== size)
      throw new Error(`not everything was found: ${JSON.stringify(scans.map((scan) => scan.unread))}`);
    const { ms, bytes, pages } = paging.spent;
    write(`scan and evaluate ${size} on moto`, took, `   ${pages} pages, ${(bytes / 1e6).toFixed(1)} MB`);
    write("  of which moto answers", ms, "   not ours");
    write(
      "  of which this server",
      took - ms,
      `   ${((user + system) / 1_000).toFixed(1)} ms of CPU, the paging beside it included`,
    );
  }
  live.close();
  paging.stop();
  await moto.stop();
}
