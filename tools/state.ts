// What is remembered: history, drift against it, and the way back. All of it planned from live AWS.

import { z } from "zod";
import { type ChangeStep, type LineageEntry, type ManagedResource, ridOf, type State } from "../src/core/change.js";
import { type ResourceSchema, sourceOf } from "../src/core/content.js";
import { OpsError } from "../src/core/errors.js";
import { type Json, type JsonObject, propertyOf } from "../src/core/json.js";
import { isGone, volatileOf } from "../src/core/own-types.js";
import type { AwsReader, DriftObservation, GatePorts, WhoAsked } from "../src/core/ports.js";
import { differences } from "../src/core/same.js";
import { domain, gate, plan, read } from "../src/core/tool.js";
import { authorView, questionOf, withAuthors, worseFirst } from "../state/attribution.js";
import { converge } from "../state/converge.js";
import type { Converged } from "../state/converged.js";
import { type DriftReport, driftOf } from "../state/drift.js";
import { envelopeAt } from "../state/envelopes.js";
import { claims } from "../state/fold.js";
import { findResource, history as historyOf, previous } from "../state/lineage.js";
import { rollbackTo } from "../state/rollback.js";
import { record } from "./state/record.js";

const Identifier = z
  .string()
  .min(1)
  .max(1200)
  .describe("Identifier, alias in the state, or its key account/region/type/id");
const Type = z.string().optional().describe("CloudFormation type, where the identifier alone is ambiguous");
const Document = z.record(z.string(), z.unknown());

/** The resource a caller means, in the account and region of the call; global ones count in every region. */
function managed(state: State, aws: AwsReader, name: string, type: string | undefined): ManagedResource {
  const where = { account: aws.account, ...(type ? { type } : {}) };
  const here = findResource(state, name, { ...where, region: aws.region });
  const resource =
    here.kind === "none"
      ? historyOf(state, name, { ...where, region: "global" })
      : historyOf(state, name, { ...where, region: aws.region });
  if (resource.ref.account === aws.account && [aws.region, "global"].includes(resource.ref.region)) return resource;
  throw new OpsError(
    "no_history",
    `${resource.rid} is in another account or region than this call. Give that region.`,
    {
      field: "region",
      details: { rid: resource.rid },
    },
  );
}

const schemaOf = async (aws: AwsReader, { reader, ref }: ManagedResource): Promise<ResourceSchema | undefined> =>
  reader === "cloudcontrol" ? aws.schema(ref.type) : undefined;

const history = read({
  title: "Show a resource's history",
  description:
    "The lineage of a resource changed through this server: every change with its execution token, who, when, why, before, after and patch. Oldest first; the newest ones when there are more than `limit`.",
  scope: "region",
  foreignText: true,
  input: z.object({ identifier: Identifier, type: Type, limit: z.number().int().min(1).max(100).default(10) }),
  output: z.object({
    rid: z.string(),
    alias: z.string(),
    deleted: z.boolean(),
    entries: z.number(),
    notShown: z.number(),
    lineage: z.array(Document),
  }),
  async run({ identifier, type, limit }, { aws, state, lineage }) {
    const resource = managed(state, aws, identifier, type);
    const entries = await lineage(resource.rid);
    const shown = entries.slice(-limit);
    return {
      data: {
        rid: resource.rid,
        alias: resource.alias,
        deleted: resource.deleted,
        entries: entries.length,
        notShown: entries.length - shown.length,
        lineage: shown.map(entryView),
        drift: { ...resource.drift },
      },
    };
  },
});

const entryView = (entry: LineageEntry): JsonObject => JSON.parse(JSON.stringify(entry)) as JsonObject;

const drift = gate({
  title: "Detect drift",
  description:
    "Compare what this server last left with live AWS: one resource, a type, or all it manages in this region. Tells kind, severity, who did it where CloudTrail says, and the three answers to drift. Reads only; a failed read is UNKNOWN, never DELETED.",
  scope: "region",
  changesAws: false,
  foreignText: true,
  input: z.object({
    identifier: Identifier.optional(),
    type: Type,
    limit: z.number().int().min(1).max(500).default(100),
  }),
  output: z.object({
    checked: z.number(),
    drifted: z.number(),
    notChecked: z.number(),
    elsewhere: z.number(),
    resources: z.array(Document),
  }),
  async run({ identifier, type, limit }, ports) {
    const { aws, state } = ports;
    const all = [...state.resources.values()];
    const inScope = all.filter(
      ({ ref, deleted }) => !deleted && ref.account === aws.account && [aws.region, "global"].includes(ref.region),
    );
    const asked = identifier
      ? [managed(state, aws, identifier, type)]
      : inScope.filter(({ ref }) => !type || ref.type === type);
    const some = asked.slice(0, limit);
    const held = claims(state);
    const observations: DriftObservation[] = [];
    const rows: JsonObject[] = [];
    const contents = await ports.confirmed(some);
    const compared: Report[] = [];
    for (const [index, resource] of some.entries()) {
      const busy = held.get(resource.rid);
      compared.push(busy ? busyReport(busy.changeId) : await compare(ports, resource, contents[index]!));
    }
    for (const [index, { report, noticedAt, ...by }] of (await authored(ports, some, compared)).entries()) {
      const resource = some[index]!;
      rows.push({ ...rowOf(resource, report), ...by });
      observations.push({
        rid: resource.rid,
        status: report.status,
        severity: report.severity,
        details:
          report.status === "IN_SYNC"
            ? null
            : {
                because: report.because,
                differences: report.differences as unknown as Json,
                ...by,
                ...(noticedAt ? { noticedAt } : {}),
              },
      });
    }
    await ports.recordDrift(observations);
    const drifted = rows.filter((row) => row.status === "MODIFIED" || row.status === "DELETED");
    return {
      data: {
        checked: rows.length,
        drifted: drifted.length,
        notChecked: asked.length - some.length,
        elsewhere: all.filter(({ deleted }) => !deleted).length - inScope.length,
        resources: rows,
        ...(drifted.length > 0
          ? {
              options: {
                revert: "state_rollback to the token in lastToken, with undoOthers: true for what others added",
                accept: "leave AWS as it is; the next change through this server makes it the new baseline",
                ask: "show the differences to the user before either",
              },
            }
          : {}),
      },
    };
  },
});

type Report = Omit<DriftReport, "status"> & { readonly status: DriftObservation["status"] };

interface Authored {
  readonly report: Report;
  /** Since when the drift is known of, where there is any. */
  readonly noticedAt?: string;
  /** Who deleted it, and when; who made a difference stands with the difference. */
  readonly by?: JsonObject;
  readonly at?: string;
}

/** Who made what differs, the worst asked first. */
async function authored(
  ports: GatePorts,
  resources: readonly ManagedResource[],
  reports: readonly Report[],
): Promise<readonly Authored[]> {
  const asked = reports
    .flatMap((report, index) => questionOf(resources[index]!, report) ?? [])
    .sort((a, b) => worseFirst(reportOf(a), reportOf(b)));
  function reportOf({ ref }: WhoAsked): Report {
    return reports[resources.findIndex(({ rid }) => rid === ridOf(ref))]!;
  }
  const answers = await ports.whoChanged(asked);
  return reports.map((report, index) => {
    const at = asked.findIndex(({ ref }) => ridOf(ref) === resources[index]!.rid);
    if (at < 0) return { report };
    const noticedAt = asked[at]!.noticedAt ?? ports.now.toISOString();
    const by = answers[at] ?? [];
    return {
      report: withAuthors(report, by),
      noticedAt,
      ...(report.differences.length === 0 ? authorView(by[0]) : {}),
    };
  });
}

const bare = (status: Report["status"], because: string): Report => ({
  status,
  severity: null,
  differences: [],
  unverifiable: [],
  ignored: 0,
  confidence: "low",
  because,
});

const busyReport = (changeId: string): Report => bare("BUSY", `change ${changeId} holds it`);

async function compare(
  ports: GatePorts,
  resource: ManagedResource,
  live: JsonObject | null | OpsError,
): Promise<Report> {
  try {
    if (live instanceof OpsError) throw live;
    const schema = await schemaOf(ports.aws, resource);
    return driftOf({
      resource,
      live,
      ...(schema ? { schema } : {}),
      volatile: volatileOf(resource.ref.type, resource.reader),
      now: ports.now,
    });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    if (error.code === "unsupported") return bare("NOT_CHECKED", "not verifiable through Cloud Control");
    return bare("UNKNOWN", `AWS could not say: ${error.code}`);
  }
}

const rowOf = (resource: ManagedResource, report: Report): JsonObject => ({
  rid: resource.rid,
  identifier: resource.ref.id,
  status: report.status,
  severity: report.severity,
  because: report.because,
  confidence: report.confidence,
  differences: report.differences.slice(0, 20) as unknown as Json,
  ...(report.unverifiable.length > 0 ? { unverifiable: report.unverifiable as unknown as Json } : {}),
  ...(report.ignored > 0 ? { ignored: report.ignored } : {}),
  lastToken: resource.lineage.findLast((entry) => entry.outcome === "succeeded")?.executionToken ?? "",
});

/** In front of a token: what its change found, not what it left. */
const BEFORE = "before:";

const rollback = plan({
  title: "Plan a rollback",
  description:
    "Plan the way back to the state a token left (`to`: its execution token, or `previous`, resolved here from lineage and live AWS). Undoes our changes since; other people's stay and are named, unless `undoOthers`. Deleted data does not come back.",
  scope: "region",
  basedOn: "one",
  input: z.object({
    identifier: Identifier,
    type: Type,
    to: z
      .string()
      .min(1)
      .describe("An execution token from state.history (before:TOKEN: as that change found it), or previous"),
    undoOthers: z.boolean().default(false).describe("Also undo what others changed since"),
  }),
  async propose({ identifier, type, to, undoOthers }, { aws, state, lineage, basedOn }) {
    const held = managed(state, aws, identifier, type);
    const resource = { ...held, lineage: await lineage(held.rid) };
    const { ref, reader } = resource;
    const schema = await schemaOf(aws, resource);
    const read = await aws.content(ref, reader);
    const live = isGone(ref.type, reader, read) ? null : read;
    const found = to === "previous" ? previous(state, resource.rid, live, resource.lineage) : null;
    if (to === "previous" && !found) {
      throw new OpsError("no_history", `The lineage of ${ref.id} holds no earlier version that differs from live.`, {
        field: "to",
        next: [{ tool: "state.history", arguments: { identifier } }],
      });
    }
    const before = found?.before ?? to.startsWith(BEFORE);
    const token = found?.entry.executionToken ?? (before ? to.slice(BEFORE.length) : to);
    const way = rollbackTo({ resource, token, live, before, ...(schema ? { schema } : {}), undoOthers });
    if (way.noChange && way.needsSecret.length > 0) throw needsSecret(resource, way.needsSecret);
    if (way.noChange) {
      throw new OpsError(
        "nothing_to_change",
        `${ref.id} already is as that token left it, but for what others changed.`,
        {
          field: "to",
          details: { kept: way.kept as unknown as Json },
        },
      );
    }
    const {
      steps,
      warnings = [],
      remaining,
    } = live === null
      ? { steps: recreate(resource, way.target, way.desired, schema), remaining: [] }
      : stepsTo(resource, live, way, schema, basedOn.get(ridOf(ref))?.content);
    if (steps.length === 0) {
      throw new OpsError("unsupported", `Nothing of what differs on ${ref.id} can be changed back in place.`, {
        details: { unrestorable: [...way.unrestorable, ...remaining] as unknown as Json },
      });
    }
    const last = resource.lineage.findLast((entry) => entry.outcome === "succeeded");
    const outside =
      live !== null && last?.after
        ? differences(last.after, live, schema?.unordered).filter(
            ({ path }) => !volatileOf(ref.type, reader).some((one) => path.startsWith(one)),
          )
        : [];
    return {
      summary: `Roll ${ref.id} back to the state ${before ? "before" : "of"} ${way.entry.timestamp} (token ${token})`,
      steps,
      rolledBackTo: before ? `${BEFORE}${token}` : token,
      warnings: [
        ...warnings,
        ...(outside.length > 0
          ? [
              `${ref.id} was changed outside this lineage after our last change (${named(outside)}). This rollback would undo what it touches of that: ask the user.`,
            ]
          : []),
        ...(way.kept.length > 0 ? [`Changed by others since, and stays: ${named(way.kept)}.`] : []),
        ...new Set(
          [...way.unrestorable, ...remaining].map(
            ({ path, because }) => `${path ? propertyOf(path) : ref.id} cannot be restored: ${because}.`,
          ),
        ),
      ],
      facts: {
        ...(schema ? { schema: sourceOf(schema) } : {}),
        resolvedTo: {
          executionToken: token,
          tool: way.entry.tool,
          timestamp: way.entry.timestamp,
          intent: way.entry.intent,
          ...(found ? { because: found.because } : {}),
        },
        changedOutsideSince: outside.slice(0, 20) as unknown as Json,
        kept: way.kept.slice(0, 20) as unknown as Json,
      },
    };
  },
});

/** Properties by name: the paths below them may hold text that anybody wrote, and stand in the facts. */
const named = (differences: readonly { readonly path: string }[]): string =>
  [...new Set(differences.map(({ path }) => propertyOf(path)))].slice(0, 5).join(", ");

const needsSecret = ({ ref }: ManagedResource, paths: readonly string[]): OpsError =>
  new OpsError(
    "validation_error",
    `This rollback has to send ${paths.join(", ")} of ${ref.id}: AWS never shows the value and it is not stored here. Nothing was planned. Ask the user for it and give it with resources.update, together with what shall go back.`,
    {
      field: `properties${paths[0]}`,
      details: { needsSecret: [...paths] },
      next: [{ tool: "resources.schema", arguments: { type: ref.type } }],
    },
  );

function stepsTo(
  resource: ManagedResource,
  live: JsonObject,
  way: ReturnType<typeof rollbackTo>,
  schema: ResourceSchema | undefined,
  seen: JsonObject | undefined,
): Pick<Converged, "steps" | "warnings" | "remaining"> {
  const { ref, reader, desired: declaredBefore, envelopes } = resource;
  const converged = converge({
    ref,
    reader,
    live,
    target: way.target,
    desired: way.desired,
    declaredBefore,
    ...(schema ? { schema } : {}),
    ...(seen ? { seen } : {}),
    stored: (path, print) => envelopeAt(envelopes, path, print) !== undefined,
  });
  if (converged.needsSecret && converged.needsSecret.length > 0) throw needsSecret(resource, converged.needsSecret);
  const steps = converged.steps.map((step) => (reader === "service" ? { ...step, before: live, touches: [""] } : step));
  // What Cloud Control has no patch for is said with the way back itself.
  return { ...converged, steps, remaining: reader === "service" ? converged.remaining : [] };
}

function recreate(
  { ref, reader }: ManagedResource,
  target: JsonObject,
  declared: JsonObject,
  schema: ResourceSchema | undefined,
): readonly ChangeStep[] {
  if (reader !== "cloudcontrol") {
    throw new OpsError(
      "unsupported",
      `${ref.id} no longer exists and cannot be brought back: make a new one with its domain's tools.`,
      {
        field: "identifier",
      },
    );
  }
  // What was declared, and what no create goes without; a schema that is not known leaves nothing out.
  const needed = [...(schema?.required ?? []), ...(schema?.primaryIdentifier ?? []).map(propertyOf)];
  const desired =
    schema && schema.source !== "none"
      ? { ...Object.fromEntries(Object.entries(target).filter(([name]) => needed.includes(name))), ...declared }
      : target;
  return [
    {
      service: "cloudcontrol",
      operation: "CreateResource",
      input: { TypeName: ref.type, DesiredState: desired },
      ref,
      reader,
      kind: "create",
      before: null,
      after: target,
      touches: [""],
      desired,
    },
  ];
}

export const state = domain("state", { history, drift, rollback, ...record }, ["history", "drift", "rollback"]);
