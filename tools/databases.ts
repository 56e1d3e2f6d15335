// RDS databases, instances and clusters in one view: what is, what waits, what interrupts; and copies of them.

import { domain } from "../src/core/tool.js";
import { createSnapshot } from "./databases/create-snapshot.js";
import { get } from "./databases/get.js";
import { start, stop } from "./databases/lifecycle.js";
import { list } from "./databases/list.js";
import { modifyCluster } from "./databases/modify-cluster.js";
import { modifyInstance } from "./databases/modify-instance.js";
import { restoreSnapshot } from "./databases/restore-snapshot.js";

export const databases = domain(
  "databases",
  { list, get, start, stop, modifyInstance, modifyCluster, createSnapshot, restoreSnapshot },
  ["list", "modifyInstance"],
);
