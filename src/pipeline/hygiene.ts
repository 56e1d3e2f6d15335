// Before anything else looks at them: sizes nobody means, control characters, attacks in text that controls. Costs no budget.

import { eventOf } from "../../policies/guardrails.js";
import { type Argument, CONTROL, unclean } from "../../policies/hygiene.js";
import { argumentOf } from "../core/argument.js";
import { type Call, type CallEntry, type Outcome, plainName } from "../core/call.js";
import type { Layer } from "../core/compose.js";
import { OpsError } from "../core/errors.js";
import type { SecurityLog } from "../core/ports.js";

export interface HygieneDeps {
  readonly security: SecurityLog;
}

export function hygiene({ security }: HygieneDeps): Layer<Call, Outcome> {
  const known = new WeakMap<CallEntry, Argument>();
  const argumentsOf = (entry: CallEntry): Argument => {
    const made = known.get(entry) ?? argumentOf(entry.input);
    known.set(entry, made);
    return made;
  };
  return (call, next) => {
    const { name, arguments: given, entry } = call.meant!;
    const found = unclean(given, entry ? argumentsOf(entry) : CONTROL);
    if (!found) return next(call);
    const event = eventOf(found.kind);
    if (event) security.record(event, { tool: plainName(name), field: found.field });
    throw event
      ? new OpsError(
          "security_violation",
          found.kind === "injection_attempt"
            ? `${found.field} holds what looks like an attack (${found.pattern}). Nothing was done. Give a plain value; text that is only carried on belongs in a field for text.`
            : `${found.field} holds a control character. Nothing was done. Give it without.`,
          { field: found.field, details: { kind: found.kind, ...(found.pattern && { pattern: found.pattern }) } },
        )
      : new OpsError("validation_error", `${found.field} is larger than anything meant here: at most ${found.most}.`, {
          field: found.field,
          details: { kind: found.kind, most: found.most },
        });
  };
}
