// Who makes what stale: the one table behind the model's notice, the server's cache and every session's read ledger.
import { matchGlob } from "./glob.js";
import { type AcceptedFinding, PolicyEngine, type SyncDefaults, type SyncPolicy } from "./state-sync/index.js";

/** The rows this product started from. They come first and stay as they are, letter for letter; a test pins them. */
export const seedRows: readonly SyncPolicy[] = [
  { match: "regions.*", cacheControl: "immutable" },
  { match: "services.list", cacheControl: "immutable" },
  { match: "instances.launch", invalidates: ["instances.*", "autoscaling.*", "costs.*"] },
  { match: "instances.terminate", invalidates: ["instances.*", "autoscaling.*", "loadBalancers.*", "costs.*"] },
  { match: "securityGroups.addRule", invalidates: ["securityGroups.*", "instances.*"] },
  { match: "securityGroups.removeRule", invalidates: ["securityGroups.*", "instances.*"] },
  { match: "deployments.create", invalidates: ["deployments.*", "instances.*", "services.*"] },
  { match: "deployments.rollback", invalidates: ["deployments.*", "instances.*", "services.*"] },
  { match: "databases.createSnapshot", invalidates: ["databases.*", "snapshots.*"] },
  { match: "databases.modifyInstance", invalidates: ["databases.*", "costs.*"] },
];

// The same AWS objects, seen through Cloud Control, and what is recorded about them: stale after every change to AWS.
const anyView = ["resources.**", "state.**"];

// What can change a resource of any type, or its tags, can change what every domain shows.
const everyView = [
  ...anyView,
  "instances.**",
  "autoscaling.**",
  "loadBalancers.**",
  "securityGroups.**",
  "deployments.**",
  "databases.**",
  "snapshots.**",
  "services.**",
  "stacks.**",
  "tags.**",
  "costs.**",
];

const capacity = ["instances.**", "autoscaling.**", "loadBalancers.**", "costs.**", ...anyView];
const network = ["securityGroups.**", "instances.**", ...anyView];
const record = ["state.**", "stacks.**"];

/**
 * The rows behind them, `**` throughout so that no deeper name is missed. A tool that makes only its own domain stale needs none.
 * `changes.apply` has none: the tool that planned the change decides. `changes.cancel` has none: it withdraws a plan, or asks
 * AWS to stop a request, and what that request did is said when its operation settles, for the tool that planned it.
 */
export const ourRows: readonly SyncPolicy[] = [
  { match: "instances.start", invalidates: capacity },
  { match: "instances.stop", invalidates: capacity },
  { match: "instances.reboot", invalidates: ["instances.**", "loadBalancers.**", ...anyView] },
  { match: "instances.resize", invalidates: capacity },
  { match: "autoscaling.setCapacity", invalidates: capacity },
  { match: "securityGroups.update", invalidates: network },
  { match: "securityGroups.create", invalidates: network },
  { match: "securityGroups.delete", invalidates: network },
  { match: "databases.start", invalidates: ["databases.**", "costs.**", ...anyView] },
  { match: "databases.stop", invalidates: ["databases.**", "costs.**", ...anyView] },
  { match: "databases.modifyCluster", invalidates: ["databases.**", "costs.**", ...anyView] },
  { match: "databases.restoreSnapshot", invalidates: ["databases.**", "snapshots.**", "costs.**", ...anyView] },
  { match: "tags.apply", invalidates: everyView },
  { match: "resources.create", invalidates: everyView },
  { match: "resources.update", invalidates: everyView },
  { match: "resources.delete", invalidates: everyView },
  { match: "resources.import", invalidates: anyView },
  { match: "state.revert", invalidates: everyView },
  { match: "state.rollback", invalidates: everyView },
  { match: "state.accept", invalidates: record },
  { match: "state.ignore", invalidates: record },
  { match: "state.refresh", invalidates: record },
  { match: "stacks.create", invalidates: everyView },
  { match: "stacks.update", invalidates: everyView },
  { match: "stacks.destroy", invalidates: everyView },
  { match: "stacks.rollback", invalidates: everyView },
];

/** The only thing about the seed's rows that lint questions in a complete catalogue. */
const accepted: readonly AcceptedFinding[] = [
  {
    code: "immutable_invalidated",
    match: "services.list",
    because: "immutable wins over the seed's services.*, which means services.health",
  },
];

/** A tool as the table needs it. */
export interface TableTool {
  readonly name: string;
  readonly kind: "read" | "plan" | "apply";
}

/** The part of a StateSync configuration that the table decides. */
export interface PolicyTable {
  readonly policies: readonly SyncPolicy[];
  readonly defaults: SyncDefaults;
  readonly accept: readonly AcceptedFinding[];
}

/**
 * The table for a build that serves these tools: the seed's rows whole, ours narrowed to what is there, then the generated rows.
 * What the seed's rows say about tools this build lacks is accepted, with that reason, and only for as long as it lacks them.
 *
 * @example
 * const { policies } = policyTable([{ name: "queues.list", kind: "read" }, { name: "queues.purge", kind: "plan" }]);
 * policies.at(-1); // => { match: "queues.purge", invalidates: ["queues.**"] }
 */
export function policyTable(tools: readonly TableTool[]): PolicyTable {
  const served = (pattern: string) => tools.some(({ name }) => matchGlob(pattern, name));
  const rows = [...seedRows, ...narrowed(ourRows, served)];
  return {
    policies: [...rows, ...fallbackRows(tools, rows)],
    defaults: { cacheControl: "no-store" },
    accept: [...accepted, ...absent(seedRows, served)],
  };
}

/**
 * A row for every plan tool that no row decides: it makes its own domain stale.
 *
 * @example
 * fallbackRows([{ name: "queues.purge", kind: "plan" }, { name: "queues.list", kind: "read" }], []);
 * // => [{ match: "queues.purge", invalidates: ["queues.**"] }]
 */
export function fallbackRows(tools: readonly TableTool[], rows: readonly SyncPolicy[]): SyncPolicy[] {
  const engine = new PolicyEngine(rows);
  return tools
    .filter(({ name, kind }) => kind === "plan" && engine.explain(name) === null)
    .map(({ name }) => ({ match: name, invalidates: [`${name.split(".")[0]}.**`] }));
}

function narrowed(rows: readonly SyncPolicy[], served: (pattern: string) => boolean): SyncPolicy[] {
  return rows
    .filter(({ match }) => served(match))
    .map((row) => ({ ...row, ...(row.invalidates && { invalidates: row.invalidates.filter(served) }) }));
}

function absent(rows: readonly SyncPolicy[], served: (pattern: string) => boolean): AcceptedFinding[] {
  const because = "a row of the seed, kept letter for letter; this build does not serve the tools it means";
  const unused = rows.map(({ match }) => ({ code: "unused_match", match, because }));
  const dead = rows.flatMap(({ invalidates = [] }) =>
    invalidates.map((match) => ({ code: "dead_invalidation", match, because })),
  );
  const known = new Set<string>();
  return [...unused, ...dead].filter(({ code, match }) => {
    const key = `${code} ${match}`;
    return !served(match) && !known.has(key) && Boolean(known.add(key));
  });
}
