// Lists whose elements have names and whose order means something all the same: the first rule that fits counts.

import { afterEach, beforeEach, expect, it } from "vitest";
import { type InMemory, inMemory } from "../in-memory.js";

const BUCKET = "AWS::S3::Bucket";
const LOGS = { type: BUCKET, identifier: "sandbox-logs" };
const narrow = { Id: "narrow", AllowedMethods: ["GET"], AllowedOrigins: ["https://example.com"] };
const wide = { Id: "wide", AllowedMethods: ["PUT"], AllowedOrigins: ["*"] };
const intent = "as the user asked";

let session: InMemory;
beforeEach(async () => {
  session = await inMemory();
  await session.call("session_whoami");
});
afterEach(() => session.close());

const get = () => session.call("resources_get", LOGS);
const update = async (CorsRules: object[], basedOn?: string) =>
  session.call("resources_update", {
    ...LOGS,
    properties: { CorsConfiguration: { CorsRules } },
    basedOn: basedOn ?? (await get()).revision,
    intent,
  });
async function applied(planned: { executionToken: string }): Promise<string> {
  const answer = await session.call("changes_apply", { executionToken: planned.executionToken });
  expect(answer.outcome, JSON.stringify([planned, answer])).toBe("applied");
  return (await get()).revision;
}
const outside = (CorsRules: object[]) =>
  session.edit((region) => {
    Object.assign(region.resources[BUCKET]!["sandbox-logs"]!, { CorsConfiguration: { CorsRules } });
  });

it("another order is what was asked for, and is no other change's to undo unseen", async () => {
  await applied(await update([narrow, wide]));
  const turned = await applied(await update([wide, narrow]));
  expect((await get()).properties.CorsConfiguration.CorsRules).toEqual([wide, narrow]);
  expect(await update([wide, narrow])).toMatchObject({ code: "nothing_to_change" });
  await outside([narrow, wide]);
  expect(await session.call("state_drift", { identifier: LOGS.identifier })).toMatchObject({
    resources: [{ status: "MODIFIED", differences: [{ path: "/CorsConfiguration/CorsRules" }] }],
  });
  const stale = await update([wide, { ...narrow, AllowedMethods: ["HEAD"] }], turned);
  expect(stale).toMatchObject({ code: "stale_revision", changed: [{ path: "/CorsConfiguration/CorsRules" }] });
});
