// Exceptions: whose violations are not counted, why, until when, and by whom that was said. A file beside the policy.

import { z } from "zod";
import { endOf, isActive, type TagException } from "../../policies/tagging/exceptions.js";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import { read } from "../../src/core/tool.js";
import { Arn } from "./inputs.js";
import { exceptionsIn, heldExceptions } from "./policy.js";

const DAY_MS = 86_400_000;

const view = (one: TagException, now: string): JsonObject => ({
  ...(one as unknown as JsonObject),
  active: isActive(one, now),
});

const about = ({ arn, pattern }: Pick<TagException, "arn" | "pattern">): string => arn ?? pattern ?? "";

export const exceptions = read({
  title: "List, add or end tag exceptions",
  description:
    "Resources whose tag violations are not counted, with reason and last day; they stay in reports and count again afterwards. add needs arn or pattern (* is any run), reason and expires; end takes the same arn or pattern. AWS is not touched; the file that is replaced is kept.",
  scope: "region",
  foreignText: false,
  input: z.object({
    action: z.enum(["list", "add", "end"]).default("list"),
    arn: Arn.optional(),
    pattern: z
      .string()
      .regex(/^arn:[A-Za-z0-9\-/:._*$@+=]{5,1000}$/, "must look like arn:aws:ec2:*:instance/*")
      .optional(),
    tags: z.array(z.string().min(1).max(128)).min(1).max(50).optional().describe("These tags only"),
    reason: z.string().min(3).max(500).optional(),
    expires: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}$/, "must be YYYY-MM-DD")
      .optional()
      .describe("Last day"),
  }),
  output: z.object({
    exceptions: z.array(z.looseObject({ active: z.boolean() })),
    active_count: z.number(),
    expires_next: z.string().nullable(),
    path: z.string(),
    kept: z.string().optional(),
  }),
  async run({ action, arn, pattern, tags, reason, expires }, ports) {
    const now = ports.now.toISOString();
    const named = { ...(arn && { arn }), ...(pattern && { pattern }) };
    if (action !== "list" && (arn === undefined) === (pattern === undefined)) {
      throw new OpsError("validation_error", "Name one of arn and pattern.", { field: "arn" });
    }
    let change: ((held: readonly TagException[]) => readonly TagException[]) | null = null;
    if (action === "add") {
      if (reason === undefined)
        throw new OpsError("validation_error", "An exception needs its reason.", { field: "reason" });
      if (expires === undefined || Number.isNaN(Date.parse(expires)) || expires < now.slice(0, 10)) {
        throw new OpsError("validation_error", "An exception needs its last day, today or later.", {
          field: "expires",
        });
      }
      if (Date.parse(expires) - ports.now.getTime() > 366 * DAY_MS) {
        throw new OpsError("validation_error", "An exception lasts a year at most; it can be added again.", {
          field: "expires",
        });
      }
      const added = { ...named, ...(tags && { tags }), reason, expires, added_by: ports.caller.arn, added_at: now };
      change = (held) => [...held.filter((one) => about(one) !== about(named) || !sameTags(one.tags, tags)), added];
    }
    if (action === "end") {
      change = (held) => {
        const left = held.filter((one) => about(one) !== about(named));
        if (left.length < held.length) return left;
        throw new OpsError("not_found", "There is no such exception.", { field: arn ? "arn" : "pattern" });
      };
    }
    const made = change;
    const written =
      made &&
      (await ports.tagging.files.changeExceptions(
        (list, path) => made(exceptionsIn(list, path)) as unknown as readonly JsonObject[],
      ));
    const list = await heldExceptions(ports);
    const active = list.filter((one) => isActive(one, now));
    const path = written?.path ?? (await ports.tagging.files.exceptions()).path;
    return {
      data: {
        exceptions: list.map((one) => view(one, now)) as Json[],
        active_count: active.length,
        expires_next: active.map(endOf).sort()[0] ?? null,
        path,
        ...(written?.kept && { kept: written.kept }),
      },
    };
  },
});

const sameTags = (a: readonly string[] = [], b: readonly string[] = []): boolean =>
  a.length === b.length && a.every((tag) => b.includes(tag));
