// Stories that broke a promise once, as small as fast-check could make them. Each is played first in every run.

import type { Step } from "./steps.js";

export interface Counterexample {
  readonly because: string;
  readonly steps: readonly Step[];
}

export const COUNTEREXAMPLES: readonly Counterexample[] = [
  {
    because: "a read-back that was denied was recorded as a deletion",
    steps: [
      { do: "register", by: "b", version: 0, now: false },
      { do: "apply", by: "a", token: 0, fault: "read denied" },
    ],
  },
  {
    because: "a tag taken from a bucket without tags was planned as a tag without a value",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      { do: "update", by: "b", target: 0, wish: { "tag:z": null }, basedOn: "last", now: false },
    ],
  },
  {
    because: "a rollback was planned where an empty list of tags was all that differed",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      { do: "update", by: "b", target: 0, wish: { "tag:z": "1" }, basedOn: "last", now: true },
      { do: "rollback", by: "a", target: 0, to: "previous", undoOthers: false, basedOn: "fresh", now: true },
      { do: "rollback", by: "b", target: 0, to: 2, undoOthers: false, basedOn: "fresh", now: false },
    ],
  },
  {
    because: "a create whose answer was lost ended as a resource of ours that nobody held",
    steps: [
      { do: "create", by: "a", name: 0, wish: {}, now: false },
      { do: "apply", by: "a", token: 0, fault: "answer lost" },
      { do: "pass", minutes: 1 },
      { do: "drift", by: "a" },
    ],
  },
  {
    because: "somebody else's deletion was recorded as a failed deletion of ours",
    steps: [
      { do: "outsider creates", name: 0, wish: {} },
      { do: "update", by: "b", target: 0, wish: { "tag:z": "1" }, basedOn: "fresh", now: false },
      { do: "apply", by: "a", token: 0, fault: "poll denied" },
      { do: "outside", target: 0, wish: null },
      { do: "apply", by: "a", token: 0 },
    ],
  },
  {
    because: "an update refused on what somebody had made again under a deleted name was no failure the model knew",
    steps: [
      { do: "create", by: "b", name: 0, wish: { "tag:x": "2", "tag:y": "1" }, now: true },
      { do: "delete", by: "a", target: 0, basedOn: "fresh", now: true },
      { do: "outsider creates", name: 0, wish: { "tag:x": "2", "tag:y": "1" } },
      { do: "update", by: "a", target: 0, wish: { "tag:z": "1" }, basedOn: "last", now: false },
      { do: "apply", by: "a", token: 0, fault: "refused" },
    ],
  },
  {
    because: "what a removal left empty was drift when it went altogether",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      { do: "update", by: "b", target: 0, wish: { accelerate: "Enabled" }, basedOn: "fresh", now: true },
      { do: "rollback", by: "b", target: 0, to: "previous", undoOthers: false, basedOn: "fresh", now: true },
      { do: "outside", target: 0, wish: { accelerate: null } },
      { do: "drift", by: "a" },
    ],
  },
  {
    because: "what AWS's own answer calls inactive was looked for in the shape of another reader, and drift said gone",
    steps: [
      { do: "register", by: "b", version: 0, now: true },
      { do: "drift", by: "b" },
    ],
  },
  {
    because:
      "what was as wished already when it was planned was no part of the change, and the model sent it all the same",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      {
        do: "update",
        by: "b",
        target: 0,
        wish: { versioning: "Enabled", "tag:x": null },
        basedOn: "fresh",
        now: false,
      },
      { do: "outside", target: 0, wish: { "tag:x": "1" } },
      { do: "apply", by: "a", token: 0 },
    ],
  },
  {
    because: "a list of tags stayed empty in the model when a call carried out by the next process filled it",
    steps: [
      { do: "create", by: "a", name: 0, wish: { "tag:y": "1" }, now: false },
      { do: "apply", by: "a", token: 0 },
      {
        do: "meanwhile",
        during: { do: "drift", by: "b" },
        at: 0,
        any: false,
        inner: { do: "outside", target: 0, wish: { "tag:y": null } },
      },
      { do: "rollback", by: "a", target: 0, to: 0, undoOthers: false, basedOn: "fresh", now: false },
      { do: "crash", during: { do: "apply", by: "b", token: 0 }, at: 45, any: true },
      { do: "update", by: "a", target: 0, wish: { "tag:z": null }, basedOn: "fresh", now: false },
    ],
  },
  {
    because: "a rollback that a crash cut off left an empty list, which a read showed and the model did not know",
    steps: [
      { do: "create", by: "a", name: 0, wish: {}, now: false },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 28, any: false },
      { do: "update", by: "b", target: 0, wish: { "tag:x": "1" }, basedOn: "fresh", now: true },
      { do: "rollback", by: "b", target: 0, to: "previous", undoOthers: false, basedOn: "fresh", now: false },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 13, any: false },
      { do: "delete", by: "a", target: 0, basedOn: "fresh", now: false },
    ],
  },
  {
    because:
      "tags that somebody added to a bucket without any, once the call was on its way, were kept by the model alone",
    steps: [
      { do: "create", by: "a", name: 0, wish: {}, now: true },
      { do: "update", by: "a", target: 0, wish: { "tag:y": "1" }, basedOn: "last", now: false },
      { do: "apply", by: "a", token: 0, fault: "poll denied" },
      { do: "outside", target: 0, wish: { "tag:z": "1" } },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 0, any: false },
    ],
  },
  {
    because: "one who was refused a token that its owner used meanwhile was told, truly, that nothing was changed",
    steps: [
      { do: "create", by: "a", name: 0, wish: {}, now: false },
      {
        do: "meanwhile",
        during: { do: "apply", by: "mallory", token: 0 },
        at: 0,
        any: false,
        inner: { do: "apply", by: "a", token: 0 },
      },
    ],
  },
  {
    because: "a refusal by AWS met the call that a crash had cut off, sent again before this one",
    steps: [
      { do: "create", by: "a", name: 0, wish: {}, now: true },
      { do: "update", by: "a", target: 0, wish: { "tag:z": "1" }, basedOn: "fresh", now: false },
      { do: "register", by: "a", version: 0, now: false },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 40, any: true },
      { do: "apply", by: "a", token: 1, fault: "refused" },
    ],
  },
  {
    because: "a failure on what somebody had deleted, and nobody could read, was recorded with what was known before",
    steps: [
      { do: "outsider creates", name: 0, wish: { "tag:x": "1" } },
      { do: "update", by: "a", target: 0, wish: { "tag:y": "1" }, basedOn: "fresh", now: false },
      { do: "apply", by: "a", token: 0, fault: "poll denied" },
      { do: "outside", target: 0, wish: null },
      { do: "apply", by: "a", token: 0, fault: "read denied" },
    ],
  },
  {
    because:
      "one who was refused a token while its owner's call was still open was told, truly, that nothing was changed",
    steps: [
      { do: "register", by: "a", version: 0, now: false },
      {
        do: "meanwhile",
        during: { do: "apply", by: "mallory", token: 0 },
        at: 0,
        any: false,
        inner: { do: "apply", by: "a", token: 0, fault: "read denied" },
      },
    ],
  },
  {
    because: "a revision that was deregistered was given to the next registration, while its own deletion was open",
    steps: [
      { do: "register", by: "a", version: 0, now: true },
      { do: "delete", by: "b", target: 0, basedOn: "fresh", now: false },
      { do: "crash", during: { do: "apply", by: "b", token: 0 }, at: 18, any: false },
      { do: "apply", by: "b", token: 0, fault: "poll denied" },
      { do: "register", by: "b", version: 0, now: true },
      { do: "crash", during: { do: "apply", by: "b", token: 0 }, at: 0, any: false },
      { do: "delete", by: "b", target: 0, basedOn: "none", now: false },
    ],
  },
  {
    because: "what somebody made again under a name that we had deleted was recorded as what our deletion left",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      { do: "delete", by: "b", target: 0, basedOn: "fresh", now: false },
      { do: "crash", during: { do: "create", by: "a", name: 1, wish: {}, now: false }, at: 9, any: false },
      { do: "apply", by: "b", token: 1, fault: "poll denied" },
      { do: "register", by: "a", version: 0, now: false },
      { do: "outsider creates", name: 0, wish: {} },
      { do: "rollback", by: "b", target: 0, to: 0, undoOthers: false, basedOn: "fresh", now: false },
    ],
  },
  {
    because: "a deletion that the same call had settled first was taken for the later one",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: false },
      { do: "create", by: "b", name: 0, wish: {}, now: true },
      { do: "delete", by: "a", target: 0, basedOn: "fresh", now: false },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 13, any: false },
      { do: "apply", by: "a", token: 2 },
    ],
  },
  {
    because: "drift of what nobody could read back speaks of what was asked for alone, which the model did not know",
    steps: [
      { do: "create", by: "b", name: 0, wish: {}, now: false },
      { do: "apply", by: "a", token: 0, fault: "poll denied" },
      { do: "pass", minutes: 16 },
      {
        do: "meanwhile",
        during: { do: "apply", by: "a", token: 0, fault: "read denied" },
        at: 0,
        any: false,
        inner: { do: "update", by: "b", target: 0, wish: { "tag:z": null }, basedOn: "fresh", now: false },
      },
      { do: "drift", by: "a" },
    ],
  },
  {
    because: "tags that AWS lists in another order than the plan had them were refused by a test of the patch",
    steps: [
      { do: "outsider creates", name: 0, wish: { "tag:x": "2" } },
      {
        do: "update",
        by: "a",
        target: 0,
        wish: { versioning: "Enabled", "tag:z": "1" },
        basedOn: "fresh",
        now: true,
      },
      { do: "update", by: "b", target: 0, wish: { "tag:z": null }, basedOn: "fresh", now: false },
      { do: "outside", target: 0, wish: { "tag:x": null } },
      { do: "outside", target: 0, wish: { "tag:x": "2" } },
      { do: "register", by: "a", version: 0, now: false },
      { do: "apply", by: "b", token: 1 },
    ],
  },
  {
    because: "what somebody else had done was recorded as proven to be the work of a call that AWS never got",
    steps: [
      { do: "outsider creates", name: 0, wish: {} },
      { do: "import", by: "a", target: 0 },
      { do: "update", by: "b", target: 0, wish: { "tag:y": "1" }, basedOn: "fresh", now: false },
      { do: "accept", by: "a", target: 0 },
      { do: "crash", during: { do: "apply", by: "a", token: 0 }, at: 57, any: true },
      { do: "outside", target: 0, wish: { "tag:y": "1" } },
      { do: "rollback", by: "a", target: 0, to: 0, undoOthers: false, basedOn: "fresh", now: false },
    ],
  },
];
