// A tag that is named like a secret: it counts as there, and its value is shown, kept and suggested nowhere.

import { writeFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { SANDBOX_ACCOUNT, SANDBOX_REGION } from "../../src/aws/sandbox/world.js";
import { memoryCache } from "../../src/cache.js";
import type { CacheStore } from "../../src/core/ports.js";
import { taggingFiles } from "../../src/tagging/files.js";
import { memoryHistory } from "../../src/tagging/history.js";
import { memorySchedules } from "../../src/tagging/schedules.js";
import { temporaryFolder } from "../harness.js";
import { inMemory } from "../in-memory.js";
import { UNHURRIED } from "../unhurried.js";

const folder = temporaryFolder();
afterAll(() => folder.remove());

const SECRET = "hunter2-of-the-tags";
const NAME = "DbPassword";

it("is judged by being there, and nobody keeps or tells what it says", async () => {
  const path = `${folder.path}/policy.json`;
  const rule = (name: string, allowed_values: string[]) => ({ name, allowed_values, applies_to: [] });
  writeFileSync(
    path,
    JSON.stringify({
      version: "1.0",
      required_tags: [rule(NAME, ["no value of this account"]), rule("environment", ["prod"])],
      optional_tags: [],
    }),
  );
  const written: string[] = [];
  const cache = memoryCache({ monotonic: () => 0 });
  const cacheStore: CacheStore = {
    ...cache,
    set: (key, text, seconds) => {
      written.push(text);
      return cache.set(key, text, seconds);
    },
  };
  const memory = memoryHistory();
  const history: typeof memory = {
    ...memory,
    store: (scan, scope, tags) => {
      written.push(JSON.stringify([...tags]));
      return memory.store(scan, scope, tags);
    },
  };
  const clock = { now: () => new Date("2026-11-21T10:00:00Z") };
  const files = taggingFiles({
    ...{ policyPath: path, folder: null, fallbackToDefault: false, clock },
  });
  const assistant = await inMemory({
    env: UNHURRIED,
    cacheStore,
    ports: { tagging: { files, history, schedules: memorySchedules() } },
  });
  const ids: string[] = [];
  await assistant.call("instances_list");
  await assistant.edit(({ instances }) => {
    for (const one of Object.values(instances)) {
      ids.push(one.id);
      if (ids.length > 1) one.tags[NAME] = SECRET;
    }
  });
  const arnOf = (id: string) => `arn:aws:ec2:${SANDBOX_REGION}:${SANDBOX_ACCOUNT}:instance/${id}`;

  const scan = { resource_types: ["ec2:instance"], store_snapshot: true };
  const live = await assistant.call("tags_check", scan);
  const again = await assistant.call("tags_check", scan);
  expect([live.source, again.source]).toEqual(["live", "cache"]);
  for (const found of [live, again]) {
    expect(found.data_quality, JSON.stringify(found)).toMatchObject({ status: "complete", values_withheld: [NAME] });
    const about = found.violations.filter(({ tag_name }: { tag_name: string }) => tag_name === NAME);
    expect(about.map((one: { resource_id: string }) => one.resource_id)).toEqual([ids[0]]);
    expect(about[0].violation_type).toBe("missing_required_tag");
  }
  const told = [
    live,
    again,
    await assistant.call("tags_validate", { resource_arns: ids.map(arnOf) }),
    await assistant.call("tags_suggest", { resource_arn: arnOf(ids[0]!) }),
    await assistant.call("tags_exportCsv", { resource_types: ["ec2:instance"] }),
    await assistant.call("tags_drift", { resource_types: ["ec2:instance"] }),
  ];
  expect(told.filter(({ isError }) => isError)).toEqual([]);
  expect(told[2].results).toHaveLength(ids.length);
  expect(told[3].suggestions.filter(({ tag_key }: { tag_key: string }) => tag_key === NAME)).toEqual([]);
  expect(written.length).toBeGreaterThan(1);
  expect(JSON.stringify([told, written, [...assistant.kept.values()].map(String)])).not.toContain(SECRET);
  await assistant.close();
});
