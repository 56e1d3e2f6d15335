// Tag compliance: the policy, what keeps it, what does not, and what could not be read.

import { domain } from "../src/core/tool.js";
import { apply } from "./tags/apply.js";
import { check, untagged, validate } from "./tags/check.js";
import { policy } from "./tags/policy.js";

export const tags = domain("tags", { policy, check, untagged, validate, apply }, ["check", "untagged"]);
