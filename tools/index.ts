// The domains, in the order tools/list shows them.

import type { Domain } from "../src/core/tool.js";
import { audit } from "./audit.js";
import { autoscaling } from "./autoscaling.js";
import { changes } from "./changes.js";
import { costs } from "./costs.js";
import { databases } from "./databases.js";
import { deployments } from "./deployments.js";
import { instances } from "./instances.js";
import { loadBalancers } from "./load-balancers.js";
import { operations } from "./operations.js";
import { regions } from "./regions.js";
import { resources } from "./resources.js";
import { securityGroups } from "./security-groups.js";
import { services } from "./services.js";
import { session } from "./session.js";
import { snapshots } from "./snapshots.js";
import { state } from "./state.js";
import { tags } from "./tags.js";
import { tools } from "./tools.js";

export const domains: readonly Domain[] = [
  session,
  tools,
  regions,
  services,
  instances,
  autoscaling,
  loadBalancers,
  securityGroups,
  tags,
  databases,
  snapshots,
  costs,
  deployments,
  resources,
  changes,
  operations,
  state,
  audit,
];
