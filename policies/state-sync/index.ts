// StateSync: tells a model, and everything else that remembers answers, which of them a change made stale.
export { covers, intersects, matchGlob } from "../glob.js";
export type { AttachOptions } from "./attach.js";
export { PolicyBuilder, StateSyncBuilder } from "./builder.js";
export type { AcceptedFinding, InvalidationEvent, ResourceNotification, StateSyncConfig, Where } from "./config.js";
export { type DescribeOptions, decorateDescription, type ToolLike } from "./describe.js";
export { PolicyEngine } from "./engine.js";
export { StateSyncLayer } from "./layer.js";
export {
  detectOverlaps,
  type Finding,
  type FindingCode,
  type LintedTool,
  lintPolicies,
  type OverlapWarning,
  type Severity,
} from "./lint.js";
export { type About, type Outcome, resolveInvalidations, type Scope } from "./outcome.js";
export {
  type CacheDirective,
  type ResolvedPolicy,
  type SyncDefaults,
  type SyncPolicy,
  VALID_DIRECTIVES,
} from "./policy.js";
export { type RegistersTools, wrapRegisterTool } from "./register-tool.js";
export { type HandlerKeys, resolveServer, type ServerLike } from "./server.js";
export { decorateResponse, type SignalOptions, type SignalTwin } from "./signal.js";
export {
  isRegistry,
  type MaybePromise,
  type Registry,
  type RegistryOptions,
  type ToolPage,
  type ToolsAndHandler,
} from "./source.js";
export { StateSync } from "./state-sync.js";
export { validateDefaults, validatePolicies } from "./validate.js";
