// The session: who is asking, where, and what is open.

import { z } from "zod";
import { ridOf } from "../src/core/change.js";
import { domain, read } from "../src/core/tool.js";
import { spentInHour } from "../state/budget.js";
import { openOperations, plannedChanges } from "../state/lineage.js";

const whoami = read({
  title: "Who am I in AWS",
  description:
    "AWS identity, account, default region, credentials' source and expiry, mode (read-only, sandbox), open changes and operations whose outcome is not known. Call it first.",
  scope: "region",
  foreignText: false,
  input: z.object({}),
  output: z.object({
    arn: z.string(),
    credentialSource: z.string(),
    credentialExpiry: z.string().optional(),
    defaultRegion: z.string().optional(),
    otherAccounts: z.array(z.object({ name: z.string(), account: z.string().optional() })).optional(),
    mode: z.string(),
    stateDir: z.string(),
    managedResources: z.number(),
    openChanges: z.array(z.object({ changeId: z.string(), summary: z.string(), expiresAt: z.string() })),
    openOperations: z.array(z.object({ operationId: z.string(), changeId: z.string(), state: z.string() })),
    leftThisHour: z.object({ creates: z.number(), deletes: z.number() }),
    budget: z.looseObject({ sessionId: z.string() }).optional(),
    counters: z.record(z.string(), z.number()),
    securityEvents: z.record(z.string(), z.number()).optional(),
    version: z.string(),
  }),
  async run(_input, { aws, state, mode, now }) {
    const { arn, credentialSource, credentialExpiry } = aws.identity;
    const spent = spentInHour(state, now);
    await aws.alias?.ask();
    const budget = await mode.guard.budget();
    const events = mode.guard.securityEvents();
    return {
      data: {
        arn,
        credentialSource,
        ...(credentialExpiry ? { credentialExpiry } : {}),
        ...(mode.defaultRegion ? { defaultRegion: mode.defaultRegion } : {}),
        ...(mode.accounts.length > 0 ? { otherAccounts: mode.accounts.map((one) => ({ ...one })) } : {}),
        mode: mode.allowWrites ? "writes allowed" : "read-only",
        stateDir: mode.stateDir,
        managedResources: [...state.resources.values()].filter((resource) => !resource.deleted).length,
        openChanges: plannedChanges(state, now).map((change) => ({
          changeId: change.id,
          summary: change.summary,
          expiresAt: change.expiresAt,
        })),
        openOperations: openOperations(state).map((operation) => ({
          operationId: operation.id,
          changeId: operation.changeId,
          state: operation.state,
        })),
        leftThisHour: {
          creates: Math.max(0, mode.perHour.create - spent.create),
          deletes: Math.max(0, mode.perHour.delete - spent.delete),
        },
        ...(budget ? { budget } : {}),
        counters: {
          ...mode.counters,
          securityEvents: Object.values(events).reduce((sum, count) => sum + count, 0),
        },
        ...(Object.keys(events).length > 0 ? { securityEvents: { ...events } } : {}),
        version: mode.version,
      },
    };
  },
});

const seen = read({
  title: "What this session has seen",
  description:
    "Everything this session was shown of single resources: revision, when it was last true, the read that shows it again. `gone`: AWS says it no longer exists. `unverifiedSince`: looks since then showed nothing, `because` of a failure or one `not_found`.",
  scope: "region",
  foreignText: false,
  input: z.object({ limit: z.number().int().min(1).max(500).default(50) }),
  output: z.object({ count: z.number(), notShown: z.number(), seen: z.array(z.record(z.string(), z.unknown())) }),
  async run({ limit }, { ledger }) {
    const entries = [...ledger.entries()].sort((a, b) => (a.record.observedAt < b.record.observedAt ? -1 : 1));
    const rows = entries.slice(0, limit).map(({ record, readWith, gone, unverified }) => ({
      rid: ridOf(record.ref),
      revision: record.revision,
      lastTrue: record.observedAt,
      ...(record.shown ? { shown: [...record.shown] } : {}),
      ...(record.cutOff.length > 0 ? { cutOff: record.cutOff.map((one) => ({ ...one })) } : {}),
      ...(gone ? { gone } : {}),
      ...(unverified ? { unverifiedSince: unverified.since, because: unverified.because } : {}),
      readAgainWith: { ...readWith },
    }));
    return { data: { count: rows.length, notShown: entries.length - rows.length, seen: rows } };
  },
});

export const session = domain("session", { whoami, seen }, ["whoami"]);
