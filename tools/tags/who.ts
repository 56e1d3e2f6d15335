// Who changed drifted tags, and when: this server by its own record, anybody else by CloudTrail, or why it cannot be said.

import type { Tagged } from "../../policies/tagging/evaluate.js";
import type { TagDrift } from "../../policies/tagging/history.js";
import { cloudFormationOf } from "../../src/core/arns.js";
import { type LineageEntry, type ResourceRef, ridOf, type State } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { type Difference, escapePointer, type JsonObject } from "../../src/core/json.js";
import type { ReadPorts, WhoAsked } from "../../src/core/ports.js";
import { tagsOf } from "../../src/core/tags.js";
import { authorView, namesOf } from "../../state/attribution.js";

export type Authored = TagDrift & { readonly by: JsonObject; readonly at?: string };

const SEVEREST: readonly TagDrift["severity"][] = ["critical", "warning", "info"];

/** A bucket's calls are recorded where it lives. */
const refOf = (one: Tagged): ResourceRef => ({
  account: one.account_id,
  region: one.bucket_region ?? one.region,
  type: cloudFormationOf(one.resource_type) ?? one.resource_type,
  id: one.resource_id,
});

const differenceOf = ({ tag_key, drift_type, old_value, new_value }: TagDrift): Difference => ({
  path: `/tags/${escapePointer(tag_key)}`,
  kind: drift_type === "added" ? "ADD" : drift_type === "removed" ? "REMOVE" : "NOT_EQUAL",
  ...(old_value !== null && { before: old_value }),
  ...(new_value !== null && { after: new_value }),
});

const valueIn = (content: JsonObject | null, key: string): string | null =>
  content === null ? null : (Object.entries(tagsOf(content)).find(([name]) => name === key)?.[1] ?? null);

/** What this server did since, and left so. */
function ownEntry(state: State, ref: ResourceRef, drift: TagDrift, since: string): LineageEntry | undefined {
  return state.resources
    .get(ridOf(ref))
    ?.lineage.findLast(
      ({ outcome, timestamp, before, after }) =>
        outcome === "succeeded" &&
        timestamp > since &&
        valueIn(after, drift.tag_key) === drift.new_value &&
        valueIn(before, drift.tag_key) !== drift.new_value,
    );
}

const ownView = ({ changeId, awsSession, intent, timestamp }: LineageEntry): Pick<Authored, "by" | "at"> => ({
  by: { status: "known", confidence: "exact", thisServer: true, principal: awsSession, changeId, intent },
  at: timestamp,
});

/** @param since of each resource: when its tags were last stored */
export async function authored(
  ports: ReadPorts,
  drifts: readonly TagDrift[],
  resources: readonly Tagged[],
  since: ReadonlyMap<string, string>,
): Promise<readonly Authored[]> {
  let state: State;
  try {
    state = ports.state;
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    // What this server did itself could not be told from what others did.
    const by = { status: "unknown", because: `the record cannot be read (${error.code})` };
    return drifts.map((drift) => ({ ...drift, by }));
  }
  const byArn = new Map(resources.map((one) => [one.arn, one]));
  const own = new Map(
    drifts.flatMap((drift) => {
      const at = since.get(drift.resource_arn) ?? "";
      const entry = ownEntry(state, refOf(byArn.get(drift.resource_arn)!), drift, at);
      return entry ? [[drift, ownView(entry)] as const] : [];
    }),
  );
  const asked = new Map<string, TagDrift[]>();
  const others = drifts.filter((drift) => !own.has(drift));
  for (const severity of SEVEREST) {
    for (const drift of others) {
      if (drift.severity !== severity) continue;
      const { resource_arn: arn } = drift;
      asked.set(arn, [...(asked.get(arn) ?? []), drift]);
    }
  }
  const questions = [...asked].map(([arn, some]): WhoAsked => {
    const ref = refOf(byArn.get(arn)!);
    return { ref, names: namesOf(ref, { arn }), since: since.get(arn)!, changes: some.map(differenceOf) };
  });
  const answers = questions.length > 0 ? await ports.whoChanged(questions) : [];
  const said = new Map(
    [...asked.values()].flatMap((some, index) =>
      some.map((drift, at) => [drift, authorView(answers[index]?.[at])] as const),
    ),
  );
  const unsaid = { status: "unknown", because: "nobody was asked" };
  return drifts.map((drift) => ({ ...drift, by: unsaid, ...(own.get(drift) ?? said.get(drift)) }));
}
