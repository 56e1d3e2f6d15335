// Questions about the past, and the way back: previous is never older than asked, and nobody else's work is undone.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LineageEntry, type ResourceRef, ridOf, type State } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import type { Event } from "../../state/events.js";
import {
  changeOf,
  entryOf,
  findResource,
  history,
  openOperations,
  plannedChanges,
  previous,
} from "../../state/lineage.js";
import { rollbackTo } from "../../state/rollback.js";
import { operationId } from "../../state/tokens.js";
import { chain, intent, plan, ref, result, START, step } from "./helpers.js";
import { schema } from "./schemas.js";

const service = ref("svc", "AWS::ECS::Service");
const sg = ref("sg-1", "AWS::EC2::SecurityGroup");

/** A log of our changes of one resource: from what we found to what we left, and what we declared. */
function lineage(
  of: ResourceRef,
  reader: "service" | "cloudcontrol",
  ours: readonly { before: JsonObject | null; after: JsonObject | null; desired?: JsonObject }[],
) {
  const log = chain();
  const tokens: string[] = [];
  for (const { before, after, desired } of ours) {
    const kind = before === null ? "create" : after === null ? "delete" : "update";
    const made = plan(log.next, [step({ ref: of, reader, kind, before, after, ...(desired && { desired }) })]);
    log.add([made.event]);
    log.add([intent(log.next, made.id, made.token)]);
    log.add([
      { type: "op.succeeded", operationId: operationId(log.state.seq), results: [result(before, after, of, reader)] },
    ]);
    tokens.push(made.token);
  }
  return { log, tokens, resource: log.state.resources.get(ridOf(of))! };
}

const imported = (of: ResourceRef, alias?: string): Event => ({
  type: "resource.imported",
  ref: of,
  reader: "service",
  properties: {},
  provenance: "x",
  ...(alias && { alias }),
});

describe("finding a resource", () => {
  const log = chain();
  log.add([
    imported(ref("a")),
    imported({ ...ref("a"), region: "us-east-1" }),
    imported(ref("b"), "web"),
    imported(ref("web", "AWS::S3::Bucket")),
  ]);
  const { state } = log;
  const ridsOf = (name: string, where = {}) => {
    const found = findResource(state, name, where);
    return found.kind === "one" ? found.resource.rid : found.kind === "several" ? found.resources.length : 0;
  };

  it("takes a key, an alias or AWS's identifier", () => {
    expect(ridsOf(ridOf(ref("a")))).toBe(ridOf(ref("a")));
    expect(ridsOf("a@us-east-1")).toBe(ridOf({ ...ref("a"), region: "us-east-1" }));
    expect(ridsOf("b")).toBe(ridOf(ref("b")));
    expect(ridsOf("nothing")).toBe(0);
  });

  it("never chooses among several", () => {
    expect(ridsOf("a")).toBe(2);
    expect(ridsOf("a", { region: "us-east-1" })).toBe(ridOf({ ...ref("a"), region: "us-east-1" }));
    expect(ridsOf("web")).toBe(2);
    expect(ridsOf("web", { type: "AWS::S3::Bucket" })).toBe(ridOf(ref("web", "AWS::S3::Bucket")));
    expect(() => history(state, "a")).toThrow(OpsError);
    try {
      history(state, "a");
    } catch (error) {
      expect(error).toMatchObject({
        code: "validation_error",
        details: { candidates: [{ alias: "a" }, { alias: "a@us-east-1" }] },
      });
    }
    expect(() => history(state, "nothing")).toThrow("no lineage");
    expect(history(state, "b").alias).toBe("web");
  });
});

describe("tokens and open work", () => {
  it("a token leads to its change and to every entry it made", () => {
    const log = chain();
    const made = plan(1, [step({ ref: ref(""), kind: "create", before: null })]);
    log.add([made.event]);
    expect(changeOf(log.state, made.token)?.id).toBe(made.id);
    expect(entryOf(log.state, made.token)).toEqual([]);
    log.add([intent(2, made.id, made.token)]);
    log.add([
      {
        type: "op.succeeded",
        operationId: "op_2",
        results: [result(null, {}, ref("i-1")), result(null, {}, ref("i-2"))],
      },
    ]);
    expect(entryOf(log.state, made.token).map(({ resource, entry }) => [resource.alias, entry.operation])).toEqual([
      ["i-1", "create"],
      ["i-2", "create"],
    ]);
    expect(entryOf(log.state, "")).toEqual([]);
    expect(changeOf(log.state, "xt_1_other")).toBeUndefined();
  });

  it("operations are open until their outcome, plans until they expire", () => {
    const log = chain();
    const [one, two] = [plan(1), plan(2, [step({ ref: ref(""), kind: "create", before: null })])];
    log.add([one.event]);
    log.add([two.event]);
    expect(plannedChanges(log.state, new Date(START)).map(({ id }) => id)).toEqual(["ch_1", "ch_2"]);
    expect(plannedChanges(log.state, new Date("2026-11-21T10:15:00Z"))).toEqual([]);
    log.add([intent(3, one.id, one.token)]);
    log.add([intent(4, two.id, two.token)]);
    expect(openOperations(log.state).map(({ id }) => id)).toEqual(["op_3", "op_4"]);
    log.add([{ type: "op.succeeded", operationId: "op_4", results: [] }]);
    log.add([
      { type: "op.unknown", operationId: "op_3", error: { code: "outcome_unknown", message: "m" }, because: "b" },
    ]);
    expect(openOperations(log.state).map(({ id, state }) => [id, state])).toEqual([["op_3", "unknown"]]);
  });
});

describe("previous", () => {
  const v = (version: string): JsonObject => ({ version });
  const { log, resource } = lineage(service, "cloudcontrol", [
    { before: null, after: v("2.2.0") },
    { before: v("2.2.0"), after: v("2.3.0") },
  ]);
  const of = (live: JsonObject | null, state: State = log.state) => previous(state, resource.rid, live);

  it("is the version before, where live is our last", () => {
    expect(of(v("2.3.0"))).toMatchObject({ entry: { after: v("2.2.0") }, changedOutside: false });
  });
  it("is our last, never the one before it, where somebody deployed outside our lineage", () => {
    expect(of(v("2.4.0"))).toMatchObject({ entry: { after: v("2.3.0") }, changedOutside: true });
    expect(of(v("2.4.0"))?.because).toContain("changed outside this lineage");
  });
  it("is our last also where somebody went back to an older version of ours", () => {
    expect(of(v("2.2.0"))).toMatchObject({ entry: { after: v("2.3.0") }, changedOutside: true });
  });
  it("is nothing where there is no other version, and our last where the resource is gone", () => {
    const single = lineage(service, "cloudcontrol", [{ before: null, after: v("1") }]);
    expect(previous(single.log.state, single.resource.rid, v("1"))).toBeNull();
    expect(previous(single.log.state, "x", v("1"))).toBeNull();
    expect(of(null)).toMatchObject({ entry: { after: v("2.3.0") } });
  });
});

describe("rolling back", () => {
  const back = (
    made: ReturnType<typeof lineage>,
    at: number,
    live: JsonObject | null,
    more: Partial<Parameters<typeof rollbackTo>[0]> = {},
  ) => rollbackTo({ resource: made.resource, token: made.tokens[at]!, live, ...more });

  const made = lineage(service, "cloudcontrol", [
    { before: null, after: { Arn: "x", Count: 1, Image: "a", Default: true }, desired: { Count: 1, Image: "a" } },
    {
      before: { Arn: "x", Count: 1, Image: "a", Default: true },
      after: { Arn: "x", Count: 2, Image: "a", Default: true, Extra: "e" },
      desired: { Count: 2, Extra: "e" },
    },
  ]);
  const last = { Arn: "x", Count: 2, Image: "a", Default: true, Extra: "e" };

  it("restores what was declared then and takes back what we set since", () => {
    expect(back(made, 0, last)).toMatchObject({
      target: { Arn: "x", Count: 1, Image: "a", Default: true },
      desired: { Count: 1, Extra: null },
      kept: [],
      unrestorable: [],
      noChange: false,
      recreate: false,
    });
  });

  it("keeps what others changed, unless the user asks to undo that too", () => {
    const live = { ...last, Default: false, Theirs: "t" };
    const kept = back(made, 0, live);
    expect(kept.target).toEqual({ Arn: "x", Count: 1, Image: "a", Default: false, Theirs: "t" });
    expect(kept.kept).toEqual([
      { path: "/Theirs", now: "t" },
      { path: "/Default", atToken: true, now: false },
    ]);
    expect(back(made, 0, live, { undoOthers: true }).target).toEqual({ Arn: "x", Count: 1, Image: "a", Default: true });
  });

  it("restores a declared value that somebody else changed", () => {
    expect(back(made, 1, { ...last, Image: "hacked" }).target).toEqual(last);
  });

  it("is nothing to do where live is as it was", () => {
    expect(back(made, 1, last)).toMatchObject({ noChange: true, target: last, desired: {} });
  });

  it("sets neither what AWS fills in nor what only a creation can set", () => {
    const rules = schema({ readOnly: ["/Arn"], createOnly: ["/Image"], writeOnly: ["/Password"] });
    const answer = back(made, 0, { ...last, Arn: "y", Image: "b" }, { schema: rules });
    expect(answer.target).toEqual({ Arn: "y", Count: 1, Image: "b", Default: true });
    expect(answer.unrestorable).toMatchObject([{ path: "/Image" }]);
  });

  it("restores a secret of then that is stored, and one that AWS shows only where it is", () => {
    const [f, e] = ["f".repeat(64), "e".repeat(64)];
    const log = lineage(service, "cloudcontrol", [
      { before: null, after: { A: 1, Token: { $secret: f } }, desired: { A: 1, Password: { $secret: f } } },
      {
        before: { A: 1, Token: { $secret: f } },
        after: { A: 2, Token: { $secret: e } },
        desired: { A: 2, Password: { $secret: e }, Token: { $secret: e } },
      },
    ]);
    const envelope = (path: string, print: string) =>
      ({ $enc: "v1", kid: "k1", iv: "iv", ct: "ct", path, print }) as const;
    const writeOnly = { schema: schema({ writeOnly: ["/Password"] }) };
    const live = { A: 2, Token: { $secret: e } };
    const held = { ...log, resource: { ...log.resource, envelopes: [envelope("/Password", f)] } };
    const way = back(held, 0, live, writeOnly);
    expect(way.target).toEqual({ A: 1, Token: { $secret: e }, Password: { $secret: f } });
    expect(way.desired).toEqual({ A: 1, Password: { $secret: f } });
    expect(way.needsSecret).toEqual(["/Token"]);
    expect(way.unrestorable.map(({ path }) => path)).toEqual(["/Token"]);
    const both = {
      ...log,
      resource: { ...log.resource, envelopes: [envelope("/Password", f), envelope("/Token", f)] },
    };
    expect(back(both, 0, live, writeOnly)).toMatchObject({ needsSecret: [], target: { Token: { $secret: f } } });
    expect(back(log, 0, live, writeOnly).needsSecret).toEqual(["/Password", "/Token"]);
    // What was declared then is what is declared now: nothing is set again.
    expect(back(both, 1, live, writeOnly)).toMatchObject({ noChange: true, needsSecret: [] });
  });

  it("says that a secret of then is not known", () => {
    const secret = lineage(service, "cloudcontrol", [
      { before: null, after: { A: 1 }, desired: { A: 1, Password: { $secret: "f" } } },
      { before: { A: 1 }, after: { A: 2 }, desired: { A: 2 } },
    ]);
    expect(back(secret, 0, { A: 2 }, { schema: schema({ writeOnly: ["/Password"] }) }).unrestorable).toMatchObject([
      { path: "/Password" },
    ]);
  });

  it("merges tags by key", () => {
    const tags = (...pairs: [string, string][]) => ({ Tags: pairs.map(([Key, Value]) => ({ Key, Value })) });
    const tagged = lineage(service, "cloudcontrol", [
      { before: tags(), after: tags(["env", "dev"]), desired: tags(["env", "dev"]) },
      {
        before: tags(["env", "dev"]),
        after: tags(["env", "prod"], ["ours", "1"]),
        desired: tags(["env", "prod"], ["ours", "1"]),
      },
    ]);
    const answer = back(tagged, 0, tags(["env", "prod"], ["ours", "1"], ["theirs", "2"]));
    expect(answer.target).toEqual(tags(["env", "dev"], ["theirs", "2"]));
    expect(answer.desired).toEqual({
      Tags: [
        { Key: "ours", Value: null },
        { Key: "env", Value: "dev" },
      ],
    });
    expect(answer.kept).toMatchObject([{ path: "/Tags/theirs" }]);
  });

  it("leaves other people's tags alone also where a list was or is empty", () => {
    const tags = (...pairs: [string, string][]) => ({ Tags: pairs.map(([Key, Value]) => ({ Key, Value })) });
    const tagged = lineage(service, "cloudcontrol", [
      { before: null, after: { A: 1, ...tags() }, desired: { A: 1 } },
      { before: { A: 1, ...tags() }, after: { A: 1, ...tags(["ours", "1"]) }, desired: tags(["ours", "1"]) },
    ]);
    const answer = back(tagged, 0, { A: 1, ...tags(["ours", "1"], ["theirs", "2"]) });
    expect(answer.target).toEqual({ A: 1, ...tags(["theirs", "2"]) });
    expect(answer.kept).toMatchObject([{ path: "/Tags/theirs" }]);
    expect(back(tagged, 0, { A: 1 })).toMatchObject({ noChange: true, kept: [] });
    expect(back(tagged, 1, { A: 1, ...tags() }).target).toEqual({ A: 1, ...tags(["ours", "1"]) });
  });

  it("makes a deleted resource again, and says what that does not bring back", () => {
    const gone = lineage(service, "cloudcontrol", [
      { before: null, after: { Arn: "x", A: 1, B: 2 }, desired: { A: 1 } },
      { before: { Arn: "x", A: 1, B: 2 }, after: null },
    ]);
    const answer = back(gone, 0, null, { schema: schema({ readOnly: ["/Arn"] }) });
    expect(answer).toMatchObject({ recreate: true, target: { A: 1, B: 2 }, desired: { A: 1 } });
    expect(answer.unrestorable.at(-1)?.because).toContain("data is not restored");
    expect(() => back(gone, 1, null)).toThrow("no state to go back to");
  });

  it("refuses tokens that left no known state here", () => {
    expect(() => rollbackTo({ resource: made.resource, token: "xt_zz_other", live: last })).toThrow(
      "no entry under this token",
    );
    expect(() => rollbackTo({ resource: made.resource, token: "", live: last })).toThrow("no entry under this token");
    const failed = { ...made.resource, lineage: [{ ...made.resource.lineage[0]!, outcome: "unknown" as const }] };
    expect(() => rollbackTo({ resource: failed, token: made.tokens[0]!, live: last })).toThrow("is not known");
  });

  describe("a security group", () => {
    const rule = (port: number, id = `sgr-${port}`): JsonObject => ({
      ruleId: id,
      direction: "ingress",
      protocol: "tcp",
      fromPort: port,
      toPort: port,
      peer: "10.0.0.0/8",
    });
    const wanted = (port: number): JsonObject => {
      const { ruleId: _, ...rest } = rule(port);
      return rest;
    };
    const group = (...rules: JsonObject[]): JsonObject => ({
      groupId: "sg-1",
      groupName: "g",
      description: "d",
      rules,
      tags: {},
    });
    const groups = lineage(sg, "service", [
      { before: group(rule(22)), after: group(rule(22), rule(80)), desired: { rules: [wanted(80)] } },
      {
        before: group(rule(22), rule(80)),
        after: group(rule(22), rule(80), rule(443)),
        desired: { rules: [wanted(443)] },
      },
      { before: group(rule(22), rule(80), rule(443)), after: group(rule(22), rule(443)) },
    ]);
    const ports = (content: JsonObject) => (content.rules as JsonObject[]).map(({ fromPort }) => fromPort).sort();

    it("gets back our rules of then, loses ours of later, keeps everybody else's", () => {
      const live = group(rule(22), rule(443), rule(5432));
      const answer = back(groups, 0, live);
      expect(ports(answer.target)).toEqual([22, 5432, 80]);
      expect(answer.kept.map(({ now }) => (now as JsonObject[])[0]?.fromPort)).toEqual([5432]);
      expect(ports(back(groups, 0, live, { undoOthers: true }).target)).toEqual([22, 80]);
    });

    it("knows a rule by its traffic, not by its id", () => {
      expect(back(groups, 2, group(rule(22, "sgr-new"), rule(443, "sgr-other"))).noChange).toBe(true);
    });

    it("does not bring back a rule of others that others removed", () => {
      const answer = back(groups, 1, group(rule(443)));
      expect(ports(answer.target)).toEqual([443, 80]);
      expect(answer.kept).toHaveLength(1);
    });
  });
});

// ── any history of ours and of others ──────────────────────────────────────────────────────────────────────────────

const KEYS = ["a", "b", "c", "d"] as const;
const edit = fc.record({
  ours: fc.boolean(),
  key: fc.constantFrom(...KEYS),
  value: fc.option(fc.integer({ max: 9, min: 0 })),
});

describe("for any history", () => {
  it("what was declared at the token is back, what only others touched is as they left it", () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 15 }), fc.nat(), (edits, choice) => {
        let live: Record<string, Json> = {};
        const entries: LineageEntry[] = [];
        const declaredAt: Set<string>[] = [];
        const declared = new Set<string>();
        const touched: Set<string>[] = [];
        for (const { ours, key, value } of edits) {
          const before = { ...live };
          if (value === null) delete live[key];
          else live = { ...live, [key]: value };
          if (!ours) continue;
          declared.add(key);
          declaredAt.push(new Set(declared));
          touched.push(new Set([key]));
          entries.push({
            seq: entries.length + 1,
            executionToken: `t${entries.length}`,
            changeId: "",
            operationId: `o${entries.length}`,
            tool: "",
            operation: "update",
            outcome: "succeeded",
            timestamp: START,
            user: "",
            awsSession: "",
            before,
            after: { ...live },
            desired: { [key]: value },
            explanation: "",
            intent: "",
          });
        }
        fc.pre(entries.length > 0);
        const at = choice % entries.length;
        const entry = entries[at]!;
        const { target, desired, kept } = rollbackTo({
          resource: { ref: service, rid: "r", reader: "cloudcontrol", lineage: entries },
          token: entry.executionToken,
          live,
        });
        const oursLater = new Set(touched.slice(at + 1).flatMap((keys) => [...keys]));
        for (const key of KEYS) {
          const responsible = declaredAt[at]!.has(key) || oursLater.has(key);
          expect(target[key]).toEqual(responsible ? entry.after![key] : live[key]);
          expect(kept.some(({ path }) => path === `/${key}`)).toBe(!responsible && entry.after![key] !== live[key]);
          if (target[key] !== live[key]) expect(desired[key]).toEqual(target[key] ?? null);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("previous is one step back on live, or our last", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 8 }), fc.nat({ max: 4 }), (versions, now) => {
        const { log, resource } = lineage(
          service,
          "cloudcontrol",
          versions.map((version, index) => ({
            before: index === 0 ? null : { v: versions[index - 1]! },
            after: { v: version },
          })),
        );
        const found = previous(log.state, resource.rid, { v: now });
        const last = versions.at(-1)!;
        if (now !== last) expect(found).toMatchObject({ entry: { after: { v: last } }, changedOutside: true });
        else {
          const older = versions.findLast((version) => version !== now);
          expect(found?.entry.after).toEqual(older === undefined ? undefined : { v: older });
          if (found) expect(found.changedOutside).toBe(false);
        }
      }),
      { numRuns: 150 },
    );
  });
});
