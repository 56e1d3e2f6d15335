// What brings a resource back to a content: steps, and what none of them can do.

import type { ChangeStep } from "../src/core/change.js";
import type { Difference } from "../src/core/json.js";

export interface Converged {
  readonly steps: readonly ChangeStep[];
  /** Write-only values that the update would drop and nobody holds: they have to be given. */
  readonly needsSecret?: readonly string[];
  /** Differences that no step of this version can take away, with the reason. */
  readonly remaining: readonly (Difference & { readonly because: string })[];
  /** What the steps may do beyond what was asked. */
  readonly warnings?: readonly string[];
}
