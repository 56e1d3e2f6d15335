// x
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Scripted, startScripted } from "./product.js";
import { exceptions, handlerErrorCodes } from "./errors.js";
const GROUP = "AWS::Logs::LogGroup";
let aws: Scripted;
beforeAll(async () => { aws = await startScripted(); });
afterAll(() => aws.close());
let n = 0;
const rows: string[] = [];
async function plan(kind: string) {
  const name = `/g/${n++}`;
  if (kind === "create") return aws.call("resources_create", { type: GROUP, properties: { LogGroupName: name }, intent: "x" });
  aws.cloudControl.world.put(GROUP, name, { LogGroupName: name });
  const { revision: basedOn } = await aws.call("resources_get", { type: GROUP, identifier: name });
  return kind === "update" ? aws.call("resources_update", { type: GROUP, identifier: name, properties: { RetentionInDays: 7 }, intent: "x", basedOn })
   : aws.call("resources_delete", { type: GROUP, identifier: name, intent: "x", basedOn });
}
const op = { create: "CreateResource", update: "UpdateResource", delete: "DeleteResource" } as const;
for (const kind of ["create", "update", "delete"] as const) for (const times of [null, 1]) {
  for (const [what, names] of [["fail", Object.keys(exceptions)], ["errorCode", handlerErrorCodes]] as const) for (const name of names)
  it(`${kind} ${what} ${name} ${times}`, async () => {
    aws.cloudControl.reset();
    const planned = await plan(kind);
    expect(planned.executionToken, JSON.stringify(planned)).toBeDefined();
    aws.cloudControl.rule({ operation: op[kind], [what]: name, times } as never);
    const a = await aws.call("changes_apply", { executionToken: planned.executionToken });
    const w = aws.writes();
    rows.push([kind, what, name, times, a.outcome ?? a.code, a.reason, a.nothingWasChanged, w.length, new Set(w.map((x) => x.token)).size].join(" "));
  });
}
it("z", () => { console.log(rows.join("\n")); });
