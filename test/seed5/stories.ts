// What the tests of each published diagram tell, by title: the states that a story passes. README.md beside this is made from it.

const RECEIVED = "[*] → RequestReceived";
const CHECKED = `${RECEIVED} → InputValidation → BudgetCheck`;
const LOOKED_UP = `${CHECKED} → LoopDetection → ToolLookup`;
const RUNS = `${LOOKED_UP} → SchemaValidation → ToolExecution → ServiceCall`;
const MISSED = `${RUNS} → CacheCheck → CacheMiss → AWSAPICall`;
const JUDGED = "PolicyValidation → ResultCalculation → CacheStorage";
const ANSWERED = "ResultFormatting → AuditLogging → ResponseSuccess → [*]";
const REFUSED = "ErrorResponse → ErrorAuditLogging → [*]";

const TO_EVALUATION = "[*] → Discovered → Scanning → TagsRetrieved → PolicyEvaluation";

const LOOKUP = "CacheQuery → KeyGeneration → CacheLookup";
const QUERIED = `[*] → ${LOOKUP}`;
const FETCHED = "DataFetch → AWSQuery → DataProcessing → CacheWrite";
const STORED = `${FETCHED} → CacheStored → DataReturned → [*]`;

export const STORIES = {
  lifecycle: {
    "an answer from AWS": `${MISSED} → ${JUDGED} → HistoryStorage →{History stored} ${ANSWERED}`,
    "an answer from the cache": `${RUNS} → CacheCheck → CacheHit → ${ANSWERED}`,
    "what no cache keeps": [`${RUNS} → DirectExecution → AWSAPICall`, ANSWERED],
    "a cache that cannot be written": `${MISSED} → ${JUDGED} → ${ANSWERED}`,
    "a history that cannot be written": `${MISSED} → ${JUDGED} → HistoryStorage →{History failed (warn)} ${ANSWERED}`,
    "a line that is no JSON": `${RECEIVED} → RequestError → ${REFUSED}`,
    "an attack": `${RECEIVED} → InputValidation → ValidationError → ${REFUSED}`,
    "a budget that is spent": `${CHECKED} → BudgetExhausted → ${REFUSED}`,
    "a loop": `${CHECKED} → LoopDetection → LoopDetected → ${REFUSED}`,
    "a tool that does not exist": `${LOOKED_UP} → UnknownTool → ${REFUSED}`,
    "arguments of another shape": `${LOOKED_UP} → SchemaValidation → ValidationError → ${REFUSED}`,
    "an error of AWS that passes": [`${MISSED} → AWSError → ErrorRetry → AWSAPICall → ${JUDGED} → ${ANSWERED}`],
    "an error of AWS that stays": `${RUNS} → DirectExecution → AWSAPICall → AWSError → ErrorRetry → AWSAPICall → AWSError → ErrorRetry → AWSAPICall → AWSError → ErrorRetry → ${REFUSED}`,
    "an error of AWS that is final": `${RUNS} → DirectExecution → AWSAPICall → AWSError → ${REFUSED}`,
  },
  compliance: {
    "fully compliant, included in the report and stored": `${TO_EVALUATION} → FullyCompliant → ReportIncluded → HistoryStored → [*]`,
    "partially compliant, its violations are logged": `${TO_EVALUATION} → PartiallyCompliant → ViolationLogged`,
    "not compliant, its violations are logged": `${TO_EVALUATION} → NonCompliant → ViolationLogged`,
    "untagged, its violations are logged": `${TO_EVALUATION} → Untagged → ViolationLogged`,
    "its cost is nobody's, values are suggested, and once they are there it complies":
      "ViolationLogged → CostImpactCalculated → RemediationSuggested → AwaitingRemediation → TagsUpdated → Scanning",
    "ignored as an exception, in the report and out of the violations":
      "AwaitingRemediation → Ignored → ReportIncluded",
    "a list that failed, named and skipped": "Scanning → ScanError → ErrorLogged → [*]",
    "tags that could not be read, neither compliant nor untagged": "TagsRetrieved → RetrievalError → ErrorLogged → [*]",
  },
  cache: {
    "asks AWS, stores with the TTL and returns": `${QUERIED} → CacheMiss → ${STORED}`,
    "answers what is kept, with its age, without AWS": `${QUERIED} → CacheHit → TTLCheck → ValidData → DataReturned → [*]`,
    "at the TTL the entry is removed and AWS asked": `${QUERIED} → CacheHit → TTLCheck → ExpiredData → CacheInvalidation → ${STORED}`,
    "goes on without, and says so to the operator": `${QUERIED} → CacheUnavailable → ${STORED}`,
    "when told to, does not read and still writes": `[*] → CacheQuery → ForceRefresh → ${STORED}`,
    "AWS's error is the answer, and nothing is stored": `${QUERIED} → CacheMiss → DataFetch → AWSQuery → FetchError → [*]`,
    "what cannot be written is answered all the same": `${QUERIED} → CacheMiss → ${FETCHED} → WriteError → DataReturned → [*]`,
  },
  budget: {
    "the first call begins a window of an hour": "[*] → SessionStart → BudgetInitialization → BudgetActive",
    "a call runs and is counted":
      "BudgetActive → ToolInvocation → BudgetCheck → WithinBudget → CounterIncrement → ToolExecution → BudgetUpdate → BudgetActive",
    "from 80 % on the answer says what is left": "BudgetCheck → BudgetWarning → CounterIncrement",
    "refused until the hour is over, not longer":
      "BudgetCheck → BudgetExceeded → RateLimited → AwaitingReset → BudgetReset → BudgetActive",
    "a window that is over leaves nothing behind": "BudgetActive → SessionEnd → BudgetCleanup → [*]",
    "without Redis this process counts on": "BudgetCheck → StorageError → FallbackMode → BudgetActive",
    "a write whose answer is lost is counted here all the same": "BudgetUpdate → StorageError",
  },
} as const;
