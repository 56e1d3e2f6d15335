// Costs: what was spent and what drove it, what will be, what was odd, what a plan would change. Cost Explorer bills every
// request, so figures are cached; prices that are not known are never invented.

import { domain } from "../src/core/tool.js";
import { anomalies } from "./costs/anomalies.js";
import { byTag } from "./costs/by-tag.js";
import { estimate } from "./costs/estimate.js";
import { forecast } from "./costs/forecast.js";
import { summary } from "./costs/summary.js";

export const costs = domain("costs", { summary, byTag, forecast, anomalies, estimate }, ["summary"]);
