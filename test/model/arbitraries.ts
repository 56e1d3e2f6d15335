// Which commands there are to choose from, and how often.

import fc from "fast-check";
import type { Fault, Slot } from "./machine.js";
import type { Wish } from "./model.js";
import type { BasedOn, Simple, Step } from "./steps.js";

const slot = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Slot>("a") },
  { weight: 3, arbitrary: fc.constant<Slot>("b") },
);
const anybody = fc.oneof({ weight: 12, arbitrary: slot }, { weight: 1, arbitrary: fc.constant<Slot>("mallory") });
const small = fc.nat({ max: 3 });
const tag = fc.constantFrom("1", "2");

const created: fc.Arbitrary<Wish> = fc.record(
  { versioning: fc.constantFrom("Enabled", "Suspended"), "tag:x": tag, "tag:y": tag },
  { requiredKeys: [] },
);
const wish: fc.Arbitrary<Wish> = fc
  .record(
    {
      versioning: fc.constantFrom("Enabled", "Suspended", null),
      accelerate: fc.constantFrom("Enabled", "Suspended", null),
      acls: fc.constantFrom("true", "false"),
      policy: fc.constantFrom("true", "false"),
      "tag:x": fc.option(tag),
      "tag:y": fc.option(tag),
      "tag:z": fc.option(tag),
    },
    { requiredKeys: [] },
  )
  .filter((one) => Object.keys(one).length > 0);
const basedOn = fc.oneof(
  { weight: 10, arbitrary: fc.constant<BasedOn>("fresh") },
  { weight: 5, arbitrary: fc.constant<BasedOn>("last") },
  { weight: 1, arbitrary: fc.constantFrom<BasedOn>("none", "invented") },
);
const now = fc.boolean();
const fault = fc.constantFrom<Fault>("answer lost", "not sent", "refused", "poll denied", "read denied");

const apply: fc.Arbitrary<Simple> = fc.record(
  { do: fc.constant("apply" as const), by: anybody, token: fc.oneof(fc.constant(0), small), fault },
  { requiredKeys: ["do", "by", "token"] },
);
const drift: fc.Arbitrary<Simple> = fc.record(
  { do: fc.constant("drift" as const), by: slot, fault: fc.constant<Fault>("read denied") },
  { requiredKeys: ["do", "by"] },
);
const rollback: fc.Arbitrary<Simple> = fc.record({
  do: fc.constant("rollback" as const),
  by: slot,
  target: small,
  to: fc.oneof(small, fc.constant("previous" as const)),
  undoOthers: fc.boolean(),
  basedOn,
  now,
});
const outside: fc.Arbitrary<Simple> = fc.record({
  do: fc.constant("outside" as const),
  target: small,
  wish: fc.option<Wish>(wish, { freq: 6 }),
});
const maintenance: fc.Arbitrary<Simple> = fc.record({
  do: fc.constantFrom("checkpoint" as const, "compact" as const),
  by: slot,
});

const simple: fc.Arbitrary<Simple> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("create" as const), by: anybody, name: small, wish: created, now }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("register" as const), by: slot, version: small, now }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("update" as const), by: anybody, target: small, wish, basedOn, now }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("delete" as const), by: slot, target: small, basedOn, now }) },
  { weight: 5, arbitrary: rollback },
  { weight: 9, arbitrary: apply },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel" as const), by: anybody, token: small }) },
  { weight: 6, arbitrary: outside },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("outsider creates" as const), name: small, wish: created }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("read" as const), by: slot, target: small }) },
  { weight: 4, arbitrary: drift },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("accept" as const), by: slot, target: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("import" as const), by: slot, target: small }) },
  { weight: 2, arbitrary: maintenance },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), minutes: fc.constantFrom(1, 10, 16) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), by: slot }) },
);

/** What is worth being interrupted. */
const interrupted: fc.Arbitrary<Simple> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("apply" as const), by: slot, token: fc.constant(0) }) },
  { weight: 3, arbitrary: simple },
);
const effect = fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 200 }));
const any = fc.boolean();

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: simple },
  {
    weight: 3,
    arbitrary: fc.record(
      { do: fc.constant("crash" as const), during: interrupted, at: effect, any, power: fc.nat({ max: 100 }) },
      { requiredKeys: ["do", "during", "at", "any"] },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("meanwhile" as const),
      during: fc.oneof(apply, drift, maintenance),
      at: effect,
      any,
      inner: simple,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("steal" as const), from: slot, by: slot, dead: fc.boolean() }) },
);
