// Tag compliance: the policy, what keeps it, what does not, and what could not be read.

import { domain } from "../src/core/tool.js";
import { apply } from "./tags/apply.js";
import { check, untagged, validate } from "./tags/check.js";
import { costGap } from "./tags/cost-gap.js";
import { custodianPolicy } from "./tags/custodian.js";
import { exceptions } from "./tags/exceptions.js";
import { importPolicy } from "./tags/import.js";
import { policy } from "./tags/policy.js";
import { exportCsv, report } from "./tags/report.js";
import { scheduleAudit } from "./tags/schedule.js";
import { suggest } from "./tags/suggest.js";
import { drift, history } from "./tags/time.js";

export const tags = domain(
  "tags",
  {
    policy,
    check,
    untagged,
    validate,
    costGap,
    suggest,
    report,
    history,
    drift,
    exportCsv,
    custodianPolicy,
    scheduleAudit,
    importPolicy,
    exceptions,
    apply,
  },
  ["check"],
);
