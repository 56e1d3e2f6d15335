// One store and one scripted account, and server after server on them that is killed at a random moment; what must hold afterwards.

import { ListResourceRequestsCommand } from "@aws-sdk/client-cloudcontrol";
import type { ManagedResource, State } from "../../src/core/change.js";
import type { JsonObject } from "../../src/core/json.js";
import { fileDriver } from "../../state/drivers/file.js";
import { openOperations } from "../../state/lineage.js";
import { tokenSha256 } from "../../state/tokens.js";
import { factsOf, visible } from "../cloud-control/model.js";
import { seeded } from "../crash/scenario.js";
import { clientsFor } from "../emulated/clients.js";
import { type Answer, type Assistant, startAssistant, temporaryFolder } from "../harness.js";
import { ids, open } from "../state/helpers.js";
import { type ScriptedAccount, startAccount, WRITES } from "./account.js";
import { killed, startWorker } from "./worker-process.js";

const GROUP = "AWS::EC2::SecurityGroup";
const LOGS = "AWS::Logs::LogGroup";
const PARAMETER = "AWS::SSM::Parameter";
const TYPES = [GROUP, LOGS, PARAMETER] as const;
const LONGEST_DELAY_MS = 50;
/** Answers after which the clock of the kill starts: 0 is the first moment of a server, 5 the second change or so. */
const MOST_ANSWERS = 6;
/** Or calls that AWS received from it: however slow the machine is, a share of the kills meets a change on its way. */
const MOST_CALLS = 3;
const FLOWS = 2;
const AFTER_EVERY_APPROVAL_MS = 30 * 60_000;

export interface Tally {
  kills: number;
  applied: number;
  /** Answers that never came. */
  lost: number;
  /** Calls that AWS received twice or more under one client token. */
  resent: number;
  takeovers: number;
  /** Refusals by code: a killed server may leave a resource held, nothing else may go wrong. */
  readonly refused: Record<string, number>;
  readonly violations: string[];
}

export const noTally = (): Tally => ({
  kills: 0,
  applied: 0,
  lost: 0,
  resent: 0,
  takeovers: 0,
  refused: {},
  violations: [],
});

/** What a killed server may leave behind for the next one to answer. */
const EXPECTED_REFUSALS: ReadonlySet<string> = new Set(["resource_busy", "stale_revision", "not_found"]);

interface Known {
  /** Tokens of the changes a client was told are applied. */
  readonly applied: Set<string>;
  /** What marks each create that was ever planned, by type: no two resources may bear one mark. */
  readonly marks: Map<string, string>;
}

/** `kills` servers on one store, one after another. Everything that does not hold is a line in `violations`. */
export async function episode(seed: number, kills: number, tally: Tally): Promise<void> {
  const next = seeded(seed);
  const below = (limit: number) => next() % limit;
  const account = await startAccount({ held: true });
  const folder = temporaryFolder("kill-");
  const root = `${folder.path}/state`;
  const known: Known = { applied: new Set(), marks: new Map() };
  const wrong = (what: string) => void tally.violations.push(`seed ${seed}: ${what}`);
  const start = () =>
    startAssistant({
      args: ["--allow-writes", "--approve-from", "never", "--deletes-per-hour", "10000", "--state", root],
      env: account.env,
    });
  try {
    let state: State | null = null;
    for (let life = 0; life < kills; life++) {
      // While nobody looks AWS either goes on or does not.
      if (below(2) === 0) account.cloudControl.settle();
      account.cloudControl.rules.clear();
      for (let index = 0; index < 4; index++) {
        account.cloudControl.rule({ polls: below(4), retryAfterSeconds: 0 });
      }
      account.proxy.clear();
      await oneLife({ start, account, below, known, tally, wrong, state, life, seed });
      tally.kills++;
      state = await checked({ root, account, known, wrong, life });
    }
    await settled({ start, root, account, wrong });
    await audited({ root, account, known, tally, wrong });
  } finally {
    await account.stop();
    folder.remove();
  }
}

const isWrite = ({ operation }: { operation: string }): boolean => WRITES.has(operation);

interface Life {
  readonly start: () => Promise<Assistant>;
  readonly account: ScriptedAccount;
  readonly below: (limit: number) => number;
  readonly known: Known;
  readonly tally: Tally;
  readonly wrong: (what: string) => void;
  readonly state: State | null;
  readonly life: number;
  readonly seed: number;
}

/** A server that makes random changes, two at a time, until it is killed. */
async function oneLife({ start, account, below, known, tally, wrong, state, life, seed }: Life): Promise<void> {
  const assistant = await start();
  const byCalls = below(2) === 0;
  const after = below(byCalls ? MOST_CALLS : MOST_ANSWERS);
  const delay = below(3) === 0 ? 0 : below(LONGEST_DELAY_MS + 1);
  const choices = seeded(below(2 ** 31));
  let answers = 0;
  let dead = false;
  let gone: Promise<void> = Promise.resolve();
  const fall = new Promise<void>((resolve) => {
    const kill = () => {
      dead = true;
      gone = killed(assistant.pid);
      resolve();
    };
    const later = () => void (delay === 0 ? kill() : setTimeout(kill, delay));
    const count = () => {
      if (answers++ === after && !byCalls) later();
    };
    if (byCalls) account.proxy.arrived({ where: isWrite }, after + 1).then(later);
    const call = async (tool: string, args: Record<string, unknown>): Promise<Answer | null> => {
      if (dead) return null;
      try {
        const answer = await assistant.call(tool, args);
        if (answer.data.stateProblem) wrong(`life ${life}: ${JSON.stringify(answer.data.stateProblem)}`);
        count();
        return answer;
      } catch (error) {
        if (!dead) wrong(`life ${life}: ${tool} failed before the kill: ${String(error)}`);
        else if (tool === "changes_apply") tally.lost++;
        return null;
      }
    };
    count();
    const free = [...(state?.resources.values() ?? [])].filter(({ deleted }) => !deleted);
    for (let flow = 0; flow < FLOWS; flow++) {
      const mine = free.filter((_, index) => index % FLOWS === flow);
      void changesUntilDead({
        call,
        choices,
        known,
        tally,
        wrong,
        mine,
        mark: `m${seed}-${life}-${flow}`,
        isDead: () => dead,
      });
    }
  });
  await fall;
  await gone;
  await assistant.close().catch(() => {});
}

interface Flow {
  readonly call: (tool: string, args: Record<string, unknown>) => Promise<Answer | null>;
  readonly choices: () => number;
  readonly known: Known;
  readonly tally: Tally;
  readonly wrong: (what: string) => void;
  readonly mine: ManagedResource[];
  readonly mark: string;
  readonly isDead: () => boolean;
}

async function changesUntilDead(flow: Flow): Promise<void> {
  const { call, choices, known, tally, wrong, mine, mark } = flow;
  for (let index = 0; !flow.isDead(); index++) {
    const planned = await plan(flow, `${mark}-${index}`, choices() % 10);
    if (!planned) continue;
    if (planned.isError) {
      refused(planned);
      continue;
    }
    const executionToken = String(planned.data.executionToken);
    const applied = await call("changes_apply", { executionToken });
    if (applied?.data.outcome === "applied") {
      known.applied.add(executionToken);
      tally.applied++;
    } else if (applied?.isError) refused(applied);
    else if (applied) wrong(`an apply ended as ${JSON.stringify(applied.data)}`);
  }

  function refused({ data }: Answer): void {
    tally.refused[data.code] = (tally.refused[data.code] ?? 0) + 1;
    if (!EXPECTED_REFUSALS.has(data.code)) wrong(`a call was refused: ${JSON.stringify(data)}`);
  }

  async function plan(_: Flow, name: string, dice: number): Promise<Answer | null> {
    const target = dice < 5 || mine.length === 0 ? undefined : mine[choices() % mine.length]!;
    if (!target) {
      const type = TYPES[choices() % TYPES.length]!;
      known.marks.set(name, type);
      return call("resources_create", { type, properties: born(type, name), intent: "torture" });
    }
    const { type, id: identifier } = target.ref;
    const seen = await call("resources_get", { type, identifier });
    if (!seen || seen.isError) return seen;
    const basedOn = seen.data.revision;
    if (dice < 8) {
      const properties = changed(type, name, choices());
      return call("resources_update", { type, identifier, properties, basedOn, intent: "torture" });
    }
    mine.splice(mine.indexOf(target), 1);
    return call("resources_delete", { type, identifier, basedOn, intent: "torture" });
  }
}

function born(type: string, mark: string): JsonObject {
  if (type === GROUP) return { GroupDescription: mark };
  if (type === LOGS) return { LogGroupName: mark, RetentionInDays: 7 };
  return { Name: `/${mark}`, Type: "String", Value: mark };
}

const RETENTIONS = [1, 3, 5, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288];

function changed(type: string, mark: string, dice: number): JsonObject {
  if (type === GROUP) return { Tags: [{ Key: "mark", Value: mark }] };
  if (type === LOGS)
    return { RetentionInDays: RETENTIONS[dice % RETENTIONS.length]!, Tags: [{ Key: "mark", Value: mark }] };
  return { Value: mark };
}

interface Place {
  readonly root: string;
  readonly account: ScriptedAccount;
  readonly wrong: (what: string) => void;
}

/** The store as the next process finds it: whole, with everything that was acknowledged and every call that AWS got. */
async function checked({ root, account, known, wrong, life }: Place & { known: Known; life: number }): Promise<State> {
  const store = await open(fileDriver({ root }, { clock: systemClock, ids }));
  if (store.readOnly) wrong(`life ${life}: the store opens read-only: ${store.readOnly.message}`);
  const report = await store.verify();
  if (!report.ok) wrong(`life ${life}: verify: ${JSON.stringify(report)}`);
  const state = await store.state();
  for (const token of known.applied) {
    const change = state.changes.get(state.tokens.get(tokenSha256(token)) ?? "");
    const inLineage = [...state.resources.values()].some(({ lineage }) =>
      lineage.some((entry) => entry.executionToken === token && entry.outcome === "succeeded"),
    );
    if (change?.state !== "applied" || !inLineage)
      wrong(`life ${life}: ${change?.id ?? token} was acknowledged and is lost`);
  }
  const intended = new Set([...state.operations.values()].map(({ clientToken }) => clientToken));
  for (const { operation, params } of account.writes()) {
    if (!intended.has(String(params.ClientToken))) wrong(`life ${life}: ${operation} without a durable intent`);
  }
  return state;
}

const systemClock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
};

/** A server that lives long enough, and then one for which every approval has run out: nothing may stay open. */
async function settled({ start, root, account, wrong }: Place & { start: Life["start"] }): Promise<void> {
  account.cloudControl.rules.clear();
  account.cloudControl.settle();
  const last = await start();
  await last.call("session_whoami");
  await last.close();
  account.cloudControl.settle();
  const worker = await startWorker({ root, aheadMs: AFTER_EVERY_APPROVAL_MS }, { env: account.env });
  const { data } = await worker.ask({ do: "call", tool: "session_whoami" });
  if (data.openOperations?.length > 0) wrong(`never settled: ${JSON.stringify(data.openOperations)}`);
  await worker.close();
}

/** AWS against the state: every resource is known as it is, and nothing was made twice. */
async function audited({ root, account, known, tally, wrong }: Place & { known: Known; tally: Tally }): Promise<void> {
  const state = await checked({ root, account, known, wrong, life: -1 });
  for (const operation of openOperations(state)) wrong(`${operation.id} is still ${operation.state}`);
  const { world } = account.cloudControl;
  const managed = [...state.resources.values()];
  for (const type of TYPES) {
    for (const id of world.identifiers(type)) {
      const found = managed.find(({ ref }) => ref.type === type && ref.id === id);
      if (!found || found.deleted)
        wrong(`orphan: ${type} ${id} is in AWS and ${found ? "deleted" : "not"} in the state`);
      else if (!same(found.properties, visible(factsOf(type), world.get(type, id)!)))
        wrong(`${type} ${id} is recorded as ${JSON.stringify(found.properties)}`);
    }
  }
  for (const { ref, deleted } of managed) {
    if (!deleted && !world.get(ref.type, ref.id)) wrong(`${ref.type} ${ref.id} is in the state and not in AWS`);
  }
  const made = (await requests(account)).filter(
    (one) => one.Operation === "CREATE" && one.OperationStatus === "SUCCESS",
  );
  for (const { TypeName, Identifier } of made) {
    if (!managed.some(({ ref }) => ref.type === TypeName && ref.id === Identifier))
      wrong(`orphan: ${TypeName} ${Identifier} was made and the state never heard of it`);
  }
  // A mark is in exactly one call: the same mark under two client tokens would be a second create.
  const tokens = new Map<string, Set<string>>();
  let sent = 0;
  for (const { operation, params } of account.writes()) {
    sent++;
    const key = operation === "CreateResource" ? markIn(String(params.DesiredState)) : String(params.ClientToken);
    tokens.set(key, (tokens.get(key) ?? new Set()).add(String(params.ClientToken)));
  }
  for (const [mark, under] of tokens) if (under.size > 1) wrong(`${mark} was sent under ${under.size} client tokens`);
  for (const mark of known.marks.keys()) {
    const named = made.filter(({ TypeName, Identifier }) => marked(state, TypeName!, Identifier!, mark));
    if (named.length > 1) wrong(`${mark} was made ${named.length} times`);
  }
  tally.resent += sent - new Set(account.writes().map(({ params }) => params.ClientToken)).size;
  tally.takeovers += await takeovers(root);
}

const markIn = (desired: string): string => /m\d+-\d+-\d+-\d+/.exec(desired)?.[0] ?? desired;

/** Whether what was created under an identifier bears this mark, by the first entry of its lineage. */
function marked(state: State, type: string, id: string, mark: string): boolean {
  const found = [...state.resources.values()].find(({ ref }) => ref.type === type && ref.id === id);
  return found !== undefined && markIn(JSON.stringify(found.lineage[0]?.after ?? {})) === mark;
}

async function requests(account: ScriptedAccount) {
  const clients = clientsFor(account.cloudControl.endpoint);
  try {
    const all = [];
    let NextToken: string | undefined;
    do {
      const page = await clients.cloudControl.send(new ListResourceRequestsCommand({ MaxResults: 100, NextToken }));
      all.push(...(page.ResourceRequestStatusSummaries ?? []));
      NextToken = page.NextToken;
    } while (NextToken);
    return all;
  } finally {
    clients.close();
  }
}

const same = (a: unknown, b: unknown): boolean => sorted(a) === sorted(b);
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, member) =>
    member && typeof member === "object" && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([one], [other]) => (one < other ? -1 : 1)))
      : member,
  );

async function takeovers(root: string): Promise<number> {
  const driver = fileDriver({ root }, { clock: systemClock, ids });
  let count = 0;
  for (const key of await driver.list("journal/")) {
    const text = new TextDecoder().decode((await driver.get(key))!.bytes);
    if (text.includes('"op.takeover"')) count++;
  }
  return count;
}
