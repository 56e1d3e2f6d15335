// Operations: reads that go on after their caller was handed a handle. Changes under way in AWS are looked at with changes.get.

import { z } from "zod";
import { CODES } from "../src/core/errors.js";
import type { Json, JsonObject } from "../src/core/json.js";
import type { Run } from "../src/core/ports.js";
import { domain, store } from "../src/core/tool.js";

const OperationId = z
  .string()
  .regex(/^run_[0-9a-f]{12}$/, "must look like run_0a1b2c3d4e5f; a change under way is looked at with changes.get");

const View = z.looseObject({
  operationId: z.string(),
  tool: z.string(),
  state: z.enum(["running", "complete", "failed", "cancelled"]),
});

const viewOf = ({ operationId, tool, state, account, region, startedAt, endedAt, progress }: Run): JsonObject => ({
  operationId,
  tool,
  state,
  of: { account, region },
  startedAt,
  ...(endedAt && { endedAt }),
  ...(progress && { progress }),
});

/** What the call came to, as it would have answered it. */
function resultOf({ outcome, startedAt, account, region }: Run): JsonObject {
  if (!outcome) return {};
  const { staleNotices, parked } = outcome;
  const beside = {
    ...(staleNotices && { staleNotices: staleNotices as unknown as Json }),
    ...(parked && { parked: parked as unknown as Json }),
  };
  if (outcome.status === "ok" || outcome.status === "planned") {
    return { result: { ...beside, asOf: startedAt, account, region, ...outcome.data } };
  }
  const { code, message, field, details, next } = outcome.error;
  return {
    error: {
      ...beside,
      ...{ code, message, retriable: CODES[code].retriable },
      ...(field !== undefined && { field }),
      next: next as unknown as Json,
      ...(details as JsonObject),
    },
  };
}

const get = store({
  title: "Get an operation",
  description:
    "A call that answered `inProgress` with an operationId (a scan of many regions): how far it is, and once it has ended its result, kept for half an hour. Waits `waitSeconds` for the end. Changes under way in AWS: changes.get.",
  foreignText: true,
  input: z.object({ operationId: OperationId, waitSeconds: z.number().int().min(0).max(50).default(20) }),
  output: View.extend({ result: z.looseObject({}).optional(), error: z.looseObject({}).optional() }),
  async run({ operationId, waitSeconds }, { runs, progress }) {
    const run = await runs.look(operationId, waitSeconds * 1_000, progress);
    return { data: { ...viewOf(run), ...resultOf(run) } };
  },
});

const list = store({
  title: "List operations",
  description:
    "Calls of this server process that were handed over, newest first, without their results: operations.get.",
  foreignText: false,
  input: z.object({}),
  output: z.object({ count: z.number(), operations: z.array(View) }),
  async run(_input, { runs }) {
    const operations = runs.list().map(viewOf);
    return { data: { count: operations.length, operations } };
  },
});

const cancel = store({
  title: "Cancel an operation",
  description:
    "End a call that was handed over: AWS is asked nothing more for it. It only reads, so nothing has to be undone. A change: changes.cancel.",
  foreignText: false,
  input: z.object({ operationId: OperationId }),
  output: View,
  async run({ operationId }, { runs }) {
    return { data: viewOf(runs.cancel(operationId)) };
  },
});

export const operations = domain("operations", { get, list, cancel }, []);
