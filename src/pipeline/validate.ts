// Arguments → input. A wrong one is named, with what would be right.

import { parseInput } from "../catalogue.js";
import type { Call, Outcome } from "../core/call.js";
import type { Layer } from "../core/compose.js";

export const validate = (): Layer<Call, Outcome> => (call, next) =>
  next({ ...call, input: parseInput(call.entry!, call.arguments) });
