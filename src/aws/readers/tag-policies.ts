// Tag policies of AWS Organizations: the one in force for the account, which any account may ask for, and the single ones.

import { OpsError } from "../../core/errors.js";
import type { Json } from "../../core/json.js";
import type { TagPolicyReads } from "../../core/tagging.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { allPages } from "../pages.js";
import { unlessAbsent } from "./parts.js";

const NO_EFFECTIVE = new Set(["EffectivePolicyNotFoundException"]);
const NO_POLICY = new Set(["PolicyNotFoundException"]);
const NAME = 128;
const DESCRIPTION = 512;

function documentIn(content: string | undefined): Json {
  try {
    return JSON.parse(content ?? "") as Json;
  } catch (cause) {
    throw new OpsError("aws_unavailable", "AWS answered a tag policy that is no JSON; nothing is known of it.", {
      cause,
    });
  }
}

/** @param api where Organizations answers; throws where the partition has none */
export const tagPolicyReads = (api: () => Api): TagPolicyReads => ({
  effective: () =>
    unlessAbsent(NO_EFFECTIVE, async () => {
      const { EffectivePolicy } = await api().call("organizations", "DescribeEffectivePolicy", {
        PolicyType: "TAG_POLICY",
      });
      return documentIn(EffectivePolicy?.PolicyContent);
    }),
  async list() {
    // A page may be empty and not the last.
    const found = await allPages(
      (next) => api().call("organizations", "ListPolicies", { Filter: "TAG_POLICY", ...(next && { NextToken: next }) }),
      (output) => output.Policies,
      (output) => output.NextToken,
    );
    return found.map(({ Id = "", Name = "", Description = "" }) => ({
      id: Id,
      name: foreign(Name, NAME),
      description: foreign(Description, DESCRIPTION),
    }));
  },
  get: (id) =>
    unlessAbsent(NO_POLICY, async () => {
      const { Policy } = await api().call("organizations", "DescribePolicy", { PolicyId: id });
      const summary = Policy?.PolicySummary;
      if (summary?.Type !== "TAG_POLICY") {
        throw new OpsError("validation_error", "The policy is no tag policy.", { field: "policy_id", details: { id } });
      }
      const content = documentIn(Policy?.Content);
      return { id, name: foreign(summary.Name ?? "", NAME), content };
    }),
});
