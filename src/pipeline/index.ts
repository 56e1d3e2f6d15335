// The life of a call, in order. Each step is one file; what is not in this list does not happen.

import type { Call, Outcome } from "../core/call.js";
import { compose } from "../core/compose.js";
import { type AuditDeps, audited } from "./audit.js";
import { type BudgetDeps, budget } from "./budget.js";
import { type CorrelateDeps, correlate } from "./correlate.js";
import { type EverywhereDeps, everywhere } from "./everywhere.js";
import { type GiveUpDeps, giveUp } from "./give-up.js";
import { type HandOverDeps, handOver } from "./hand-over.js";
import { type HygieneDeps, hygiene } from "./hygiene.js";
import { type LocateDeps, locate } from "./locate.js";
import { type LookupDeps, lookup } from "./lookup.js";
import { type LoopDeps, loops } from "./loops.js";
import { onlyIn } from "./only-in.js";
import { type ParkedDeps, parked } from "./parked.js";
import { type RecoverDeps, recover } from "./recover.js";
import { type ResumeDeps, resume } from "./resume.js";
import { type RevalidateDeps, revalidate } from "./revalidate.js";
import { type RunDeps, run } from "./run.js";
import { type SeeDeps, see } from "./see.js";
import { validate } from "./validate.js";

export type PipelineDeps = CorrelateDeps &
  AuditDeps &
  RecoverDeps &
  HygieneDeps &
  BudgetDeps &
  LoopDeps &
  LookupDeps &
  GiveUpDeps &
  LocateDeps &
  HandOverDeps &
  EverywhereDeps &
  ResumeDeps &
  RevalidateDeps &
  SeeDeps &
  ParkedDeps &
  RunDeps;

/** From a call to its outcome. Never rejects. */
export const pipeline = (deps: PipelineDeps): ((call: Call) => Promise<Outcome>) =>
  compose<Call, Outcome>(
    [
      correlate(deps), // one id for all that comes of it
      audited(deps), //   one row at the end of every path    audit_unavailable
      recover(deps), //   errors become outcomes              internal
      hygiene(deps), //   sizes, attacks                      security_violation validation_error
      budget(deps), //    calls of the session                budget_exhausted
      loops(deps), //     the same again and again            loop_detected
      lookup(deps), //    name → tool                         unknown_tool rate_limited
      validate(), //      arguments → input                   validation_error
      giveUp(deps), //    how long it may take                timed_out
      locate(deps), //    account, region, credentials   region_missing unknown_region credentials_*
      handOver(deps), //  what a client cannot wait for
      recover(deps), //   so that what goes on ends with an outcome
      revalidate(deps), // another look at what was shown before
      see(deps), //       what was shown, what is stale
      parked(deps), //    what waits for a decision
      recover(deps), //   so that a refusal too says where, and what is stale
      everywhere(deps), // each region by itself, then one answer
      recover(deps), //   so that one region's refusal is that region's alone
      resume(deps), //    what a crash left open         state_unreadable
    ],
    run(deps), //         read · plan · gate             every other code
  );

/** A call that nobody waits for: audited like any, and no session's, so that it spends, shows and tells nothing of one. */
export const unattended = (deps: PipelineDeps, account: string | undefined): ((call: Call) => Promise<Outcome>) =>
  compose<Call, Outcome>(
    [
      correlate(deps),
      audited(deps),
      recover(deps),
      lookup(deps),
      validate(),
      locate(deps),
      recover(deps), //      so that a refusal too says where
      onlyIn(account), //    identity_mismatch
    ],
    run(deps),
  );
