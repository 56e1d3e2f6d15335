// What AWS shows of a lost call once it may not be sent again: only a proof ends it, everything else waits for a decision.

import { describe, expect, it } from "vitest";
import type { ChangeStep } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";
import { verdictOn } from "../../state/recover.js";
import { ref, step } from "./helpers.js";

const BUCKET = "AWS::S3::Bucket";
const update = step({
  service: "cloudcontrol",
  operation: "UpdateResource",
  ref: ref("b", BUCKET),
  reader: "cloudcontrol",
  kind: "update",
  before: { Note: "old", Other: 1 },
  after: { Note: "new", Other: 1 },
  touches: ["/Note"],
  desired: { Note: "new" },
});
const remove = {
  ...update,
  kind: "delete",
  operation: "DeleteResource",
  after: null,
  desired: undefined,
} as ChangeStep;
const create = (id: string) =>
  ({ ...update, kind: "create", operation: "CreateResource", ref: ref(id, BUCKET), before: null }) as ChangeStep;
const start = step({ operation: "StartInstances", kind: "action", desired: { state: "running" } });

interface Facts {
  live?: JsonObject | null;
  made?: readonly string[] | null;
  natural?: boolean;
  unmoved?: boolean;
}

describe("a lost call", () => {
  it.each<[string, ChangeStep, Facts, string]>([
    ["update that live shows", update, { live: { Note: "new", Other: 2 } }, "carried_out"],
    ["update of which live is as before", update, { live: { Note: "old" }, unmoved: true }, "not_carried_out"],
    ["update over which somebody went", update, { live: { Note: "third" } }, "open"],
    ["update of what is gone", update, { live: null }, "open"],
    ["update that cannot be looked at", update, {}, "open"],
    ["delete of what is gone", remove, { live: null }, "carried_out"],
    ["delete of what is there, also changed", remove, { live: { Note: "third" } }, "not_carried_out"],
    ["delete that cannot be looked at", remove, {}, "open"],
    ["action whose target is not reached", start, { live: { state: "stopped" }, natural: true }, "not_carried_out"],
    ["action whose target is reached", start, { live: { state: "running" }, natural: true }, "carried_out"],
    ["create whose mark is found", create(""), { made: ["b-1"] }, "carried_out"],
    ["create whose mark nothing bears", create(""), { made: [], unmoved: true }, "not_carried_out"],
    ["create that leaves no mark", create(""), { made: null, unmoved: true }, "open"],
    ["create whose mark cannot be looked for", create(""), { unmoved: true }, "open"],
    [
      "create under a name that nothing bears",
      create("b"),
      { live: null, made: null, unmoved: true },
      "not_carried_out",
    ],
    ["create under a name that something bears", create("b"), { live: { Note: "new" }, made: null }, "open"],
  ])("%s", (_, of, { live, made, natural = false, unmoved = false }, verdict) => {
    expect(verdictOn(of, { live, made, natural, unmoved })).toBe(verdict);
  });
});
