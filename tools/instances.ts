// EC2 instances: what runs, what is in service, what hangs on it; launch, start, stop, reboot, resize, terminate.

import { domain } from "../src/core/tool.js";
import { get } from "./instances/get.js";
import { launch } from "./instances/launch.js";
import { reboot, start, stop, terminate } from "./instances/lifecycle.js";
import { list } from "./instances/list.js";
import { resize } from "./instances/resize.js";

export const instances = domain("instances", { list, get, launch, start, stop, reboot, resize, terminate }, [
  "list",
  "get",
  "launch",
  "terminate",
]);
