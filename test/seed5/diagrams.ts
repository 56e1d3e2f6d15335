// The published state diagrams, letter for letter, as data; and a way of telling a story by the states it passes.

import { afterAll, expect, it } from "vitest";
import { STORIES } from "./stories.js";

/** Where a call, a resource, a question and a session begin and end. */
export const EDGE = "[*]";

/** The transitions as mermaid writes them. */
const MERMAID = {
  lifecycle: `
[*] --> RequestReceived: stdio JSON-RPC message
RequestReceived --> InputValidation: Parse JSON-RPC
RequestReceived --> RequestError: Invalid JSON
InputValidation --> BudgetCheck: Input validated
InputValidation --> ValidationError: Malicious input detected
BudgetCheck --> LoopDetection: Budget available
BudgetCheck --> BudgetExhausted: Budget exceeded
LoopDetection --> ToolLookup: No loop detected
LoopDetection --> LoopDetected: Loop detected
ToolLookup --> SchemaValidation: Tool found
ToolLookup --> UnknownTool: Tool not found
SchemaValidation --> ToolExecution: Schema valid
SchemaValidation --> ValidationError: Schema invalid
ToolExecution --> ServiceCall: Tool handler invoked
ServiceCall --> CacheCheck: Check cache
ServiceCall --> DirectExecution: No cache available
CacheCheck --> CacheHit: Data in cache
CacheCheck --> CacheMiss: No cache entry
CacheHit --> ResultFormatting: Use cached data
CacheMiss --> AWSAPICall: Query AWS
DirectExecution --> AWSAPICall
AWSAPICall --> PolicyValidation: AWS data retrieved
AWSAPICall --> AWSError: AWS API error
PolicyValidation --> ResultCalculation: Policy applied
ResultCalculation --> CacheStorage: Results computed
CacheStorage --> HistoryStorage: Cache updated
CacheStorage --> ResultFormatting: Cache unavailable (degrade)
HistoryStorage --> ResultFormatting: History stored
HistoryStorage --> ResultFormatting: History failed (warn)
ResultFormatting --> AuditLogging: Format response
AuditLogging --> ResponseSuccess: Audit logged
ResponseSuccess --> [*]: JSON-RPC response
RequestError --> ErrorResponse: Bad request
BudgetExhausted --> ErrorResponse: Budget exceeded
LoopDetected --> ErrorResponse: Loop detected
UnknownTool --> ErrorResponse: Unknown tool
ValidationError --> ErrorResponse: Validation failed
AWSError --> ErrorRetry: Retriable error
ErrorRetry --> AWSAPICall: Retry with backoff
ErrorRetry --> ErrorResponse: Max retries exceeded
AWSError --> ErrorResponse: Non-retriable error
ErrorResponse --> ErrorAuditLogging: Log error
ErrorAuditLogging --> [*]: JSON-RPC error response
`,
  compliance: `
[*] --> Discovered: Resource found in AWS
Discovered --> Scanning: Compliance check initiated
Scanning --> TagsRetrieved: Get resource tags
TagsRetrieved --> PolicyEvaluation: Tags retrieved
PolicyEvaluation --> FullyCompliant: All required tags present<br/>All values valid
PolicyEvaluation --> PartiallyCompliant: Some required tags present<br/>Some missing or invalid
PolicyEvaluation --> NonCompliant: Required tags missing<br/>or invalid values
PolicyEvaluation --> Untagged: No tags present
FullyCompliant --> ReportIncluded: Add to compliance report
PartiallyCompliant --> ViolationLogged: Log violations
NonCompliant --> ViolationLogged
Untagged --> ViolationLogged
ViolationLogged --> CostImpactCalculated: Calculate cost attribution gap
CostImpactCalculated --> RemediationSuggested: Generate tag suggestions
RemediationSuggested --> AwaitingRemediation: Waiting for tag updates
AwaitingRemediation --> TagsUpdated: Tags applied to resource
AwaitingRemediation --> Ignored: Marked as exception
TagsUpdated --> Scanning: Re-scan for compliance
ReportIncluded --> HistoryStored: Store snapshot
HistoryStored --> [*]: Compliance check complete
Ignored --> ReportIncluded: Exclude from violations
Scanning --> ScanError: AWS API error
TagsRetrieved --> RetrievalError: Failed to get tags
ScanError --> ErrorLogged: Log error
RetrievalError --> ErrorLogged
ErrorLogged --> [*]: Skip resource
`,
  cache: `
[*] --> CacheQuery: Service requests data
CacheQuery --> KeyGeneration: Generate cache key
KeyGeneration --> CacheLookup: SHA256(params)
CacheLookup --> CacheHit: Key found
CacheLookup --> CacheMiss: Key not found
CacheLookup --> CacheUnavailable: Redis not configured
CacheHit --> TTLCheck: Check expiration
TTLCheck --> ValidData: Within TTL
TTLCheck --> ExpiredData: Expired
ValidData --> DataReturned: Return cached data
DataReturned --> [*]: Cache hit success
ExpiredData --> CacheInvalidation: Remove from cache
CacheInvalidation --> DataFetch: Fetch fresh data
CacheMiss --> DataFetch
CacheUnavailable --> DataFetch: Proceed without cache
DataFetch --> AWSQuery: Query AWS APIs
AWSQuery --> DataProcessing: Data retrieved
AWSQuery --> FetchError: AWS error
DataProcessing --> CacheWrite: Process results
CacheWrite --> CacheStored: Data cached with TTL
CacheWrite --> WriteError: Cache write failed
CacheStored --> DataReturned: Return fresh data
WriteError --> DataReturned: Return data (no cache)
FetchError --> [*]: Return error
CacheQuery --> ForceRefresh: force_refresh=true
ForceRefresh --> DataFetch: Bypass cache
`,
  budget: `
[*] --> SessionStart: First tool call in session
SessionStart --> BudgetInitialization: Create session budget
BudgetInitialization --> BudgetActive: Set counter = 0<br/>Max = 100<br/>TTL = 1 hour
BudgetActive --> ToolInvocation: Tool called
ToolInvocation --> BudgetCheck: Check current count
BudgetCheck --> WithinBudget: Count less than max
BudgetCheck --> BudgetWarning: Count at 80% threshold
BudgetCheck --> BudgetExceeded: Count at max
WithinBudget --> CounterIncrement: Proceed with tool
BudgetWarning --> CounterIncrement: Proceed with warning
CounterIncrement --> ToolExecution: Increment counter
ToolExecution --> BudgetUpdate: Update counter
BudgetUpdate --> BudgetActive: Tool complete
BudgetExceeded --> RateLimited: Return error
RateLimited --> AwaitingReset: Cooldown period
AwaitingReset --> BudgetReset: TTL expired
BudgetReset --> BudgetActive: Reset counter to 0
BudgetActive --> SessionEnd: Session expires
SessionEnd --> BudgetCleanup: Clean up state
BudgetCleanup --> [*]: Session closed
BudgetCheck --> StorageError: Redis unavailable
BudgetUpdate --> StorageError: Write failed
StorageError --> FallbackMode: Use in-memory tracking
FallbackMode --> BudgetActive: Degraded mode
`,
};

export type Diagram = keyof typeof MERMAID;
export const DIAGRAMS = Object.keys(MERMAID) as Diagram[];

export interface Transition {
  readonly from: string;
  readonly to: string;
  /** Empty where the diagram says nothing. */
  readonly on: string;
}

export function transitionsOf(diagram: Diagram): readonly Transition[] {
  return MERMAID[diagram]
    .trim()
    .split("\n")
    .map((line) => {
      const [, from, to, on = ""] = /^(\S+) --> (\[\*\]|\w+)(?:: (.+))?$/.exec(line) ?? [];
      if (!from || !to) throw new Error(`no transition: ${line}`);
      return { from, to, on };
    });
}

export const statesOf = (diagram: Diagram): readonly string[] => [
  ...new Set(transitionsOf(diagram).flatMap(({ from, to }) => [from, to])),
];

type Paths = string | readonly string[];

/** A step that the diagram draws more than once is told apart by what stands on it: `HistoryStorage →{History stored} …`. */
const STEP = / →(?:\{(.*?)\})? /;

/**
 * The transitions a story passes, as the diagram has them.
 * @throws Error naming a step that the diagram does not have.
 */
export function passed(diagram: Diagram, paths: Paths): readonly Transition[] {
  const all = transitionsOf(diagram);
  return [paths].flat().flatMap((path) => {
    const parts = path.split(STEP);
    return parts.flatMap((from, index) => {
      if (index % 2 === 1 || index + 2 >= parts.length) return [];
      const [on, to] = [parts[index + 1], parts[index + 2]];
      const found = all.filter((one) => one.from === from && one.to === to && (on === undefined || one.on === on));
      if (found.length !== 1) throw new Error(`${diagram}: ${found.length} transitions ${from} → ${to}`);
      return found;
    });
  });
}

/** Tests of one diagram: each tells a story of the list by its title, and at the end none of the list is untold. */
export function teller<D extends Diagram>(diagram: D) {
  const told = new Set<string>();
  const stories: Readonly<Record<string, Paths>> = STORIES[diagram];
  afterAll(() => expect([...told].sort()).toEqual(Object.keys(stories).sort()));
  return (title: keyof (typeof STORIES)[D] & string, story: () => Promise<unknown>): void =>
    it(`${title}: ${[stories[title]!].flat().join("; ")}`, async () => {
      passed(diagram, stories[title]!);
      await story();
      told.add(title);
    });
}
