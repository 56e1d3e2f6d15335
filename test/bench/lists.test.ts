// Lists at size, walked whole: what `npm run bench -- lists` shows of 2,500 instances, 1,200 rules and 300 databases is so on
// every run, as complete and in order, and no answer above 5,000 tokens. Its times are the benchmark's business.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("2,500 instances, 1,200 rules and 300 databases are complete, in order, and each answer is small", async () => {
  const bench = fileURLToPath(new URL("lists.mjs", import.meta.url));
  // It fails by itself where a list is not whole or an answer too large.
  const { stdout } = await promisify(execFile)(process.execPath, [bench]);
  for (const whole of ["2500 of 2500", "24 of 24", "1200 of 1200", "300 of 300"])
    expect(stdout).toContain(`${whole} rows, complete and in order`);
  const largest = [...stdout.matchAll(/(\d+) the largest/g)].map(([, tokens]) => Number(tokens));
  expect(largest).toHaveLength(4);
  expect(Math.max(...largest)).toBeLessThanOrEqual(5_000);
}, 120_000);
