// `aws-devops-mcp state VERB`: what an operator does with the state folder. Whatever changes something says so before; what a
// model must not do asks a human in a terminal.

import { resolve } from "node:path";
import { createDocument, readDocument } from "../state/drivers/document.js";
import { HEAD } from "../state/head.js";
import { type Build, importSeed, type RecoveryChoice, type Store } from "../state/index.js";
import { heldBy, type LeaseWait, PATIENCE } from "../state/leases.js";
import { openOperations } from "../state/lineage.js";
import { admissible, type SeedImport } from "../state/seed.js";
import { shippedSchema } from "./aws/schema-table.js";
import { type CommandOptions, type Config, ConfigError } from "./config.js";
import { type Liveness, ridOf } from "./core/change.js";
import { operatorCommand } from "./core/command.js";
import { OpsError } from "./core/errors.js";
import { type Difference, isObject, type Json, type JsonObject } from "./core/json.js";
import { secretKeeper } from "./gate/secrets.js";
import { present } from "./render.js";
import { buildStore, type Host } from "./serve.js";
import { VERSION } from "./version.js";

export interface Operator extends Host {
  /** Null where there is no terminal: then nobody can be asked, and nothing that has to be asked is done. */
  readonly terminal: { ask(question: string): Promise<string> } | null;
  write(text: string): void;
}

export interface Asked {
  /** The verb and what stands behind it. */
  readonly words: readonly string[];
  readonly options: CommandOptions;
  readonly help: boolean;
  /** One JSON document instead of text; nobody is asked then. */
  readonly json: boolean;
}

/** What a verb has to say at its end. `code` 1: refused, or what was looked at is not as it should be. */
interface Told {
  readonly code: 0 | 1;
  readonly text: string;
  readonly data: JsonObject;
}

/** What a verb works with. */
interface Desk {
  readonly store: Store;
  readonly words: readonly string[];
  readonly options: CommandOptions;
  readonly json: boolean;
  readonly user: string;
  readonly liveness: Liveness;
  /** To the human, before something is done; to nobody where the answer is one JSON document. */
  say(text: string): void;
  /** True only where a human typed the phrase in a terminal. */
  confirmed(phrase: string): Promise<boolean>;
  /** Beside the output. */
  warn(text: string): void;
}

interface Verb {
  /** The words it needs behind it, as help shows them. */
  readonly takes: readonly string[];
  readonly options: readonly (keyof CommandOptions)[];
  readonly what: string;
  /** What help says beyond the one line. */
  readonly more: string;
  run(desk: Desk): Promise<Told>;
}

const FLAG: Readonly<Partial<Record<keyof CommandOptions, string>>> = {
  out: "--out FILE",
  reason: "--reason TEXT",
  dryRun: "--dry-run",
  write: "--write",
};

/** Reads or mends the state folder of a configuration. Exit code 0: done and well, 1: refused or bad; usage is a ConfigError. */
export async function stateCommand(config: Config, asked: Asked, host: Operator): Promise<number> {
  const [name, ...words] = asked.words;
  const verb = name === undefined ? undefined : VERBS.get(name);
  if (asked.help || name === undefined) {
    host.write(verb ? verbHelp(name!, verb) : help());
    return asked.help ? 0 : 2;
  }
  if (!verb) throw new ConfigError(`state has no verb "${name}"; there are ${[...VERBS.keys()].join(", ")}`);
  if (words.length !== verb.takes.length) {
    throw new ConfigError(`state ${name} takes ${verb.takes.length === 0 ? "no further word" : verb.takes.join(" ")}`);
  }
  for (const option of Object.keys(asked.options) as (keyof CommandOptions)[]) {
    if (!verb.options.includes(option))
      throw new ConfigError(`state ${name} takes no ${(FLAG[option] ?? `--${option}`).split(" ")[0]}`);
  }
  const told = await answer(config, verb, { ...asked, words }, host);
  host.write(asked.json ? `${JSON.stringify(told.data, null, 2)}\n` : told.text === "" ? "" : `${told.text}\n`);
  return told.code;
}

async function answer(config: Config, verb: Verb, { words, options, json }: Asked, host: Operator): Promise<Told> {
  const terminal = json ? null : host.terminal;
  let store: Store | undefined;
  try {
    // What is done here is told here; the log of a server has nothing to add to it.
    const opened = await buildStore({ ...config, logLevel: "error" }, host, "terminal");
    store = opened.store;
    if (!store.durable)
      throw new OpsError(
        "unsupported",
        "A state in memory is gone when its process ends. Nothing was done; give --state DIR.",
      );
    return await verb.run({
      store,
      words,
      options,
      json,
      user: host.user,
      liveness: opened.liveness,
      say: (text) => {
        if (!json) host.write(`${text}\n`);
      },
      warn: (text) => host.writeLog(`aws-devops-mcp: ${text}\n`),
      confirmed: async (phrase) => {
        if (!terminal) return false;
        return (await terminal.ask(`\nTo do this, type ${phrase}: `)).trim() === phrase;
      },
    });
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const { code, message, field, details } = error;
    const data = { error: { code, message, ...(field ? { field } : {}), ...(details as JsonObject) } };
    return { code: 1, text: `${code}: ${message}`, data: present(data) as JsonObject };
  } finally {
    await store?.close().catch((error: unknown) => {
      if (!(error instanceof OpsError)) throw error;
    });
  }
}

// ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────

const many = (count: number, what: string): string =>
  `${count} ${count === 1 ? what : what.endsWith("y") ? `${what.slice(0, -1)}ies` : `${what}s`}`;

/** Lines that hold text of others, cleaned for a terminal. */
const shown = (lines: readonly string[]): string => lines.map((line) => String(present(line))).join("\n");

const problemOf = (error: OpsError | null): JsonObject =>
  error ? { problem: { code: error.code, message: error.message } } : {};

const problemLine = (error: OpsError | null): string[] =>
  error ? [`problem     ${error.code}: ${error.message}`] : [];

const show: Verb = {
  takes: [],
  options: [],
  what: "what the folder holds: commits, resources, plans, open operations",
  more: "Reads only.",
  async run({ store }) {
    const problem = store.readOnly;
    const state = await store.state().catch(asNull);
    if (!state) {
      const data = { location: store.location, readable: false, ...problemOf(problem) };
      return { code: 1, text: [`location    ${store.location}`, ...problemLine(problem)].join("\n"), data };
    }
    const resources = [...state.resources.values()];
    const open = openOperations(state);
    const data = {
      location: store.location,
      store: state.store,
      created: state.created,
      updated: state.updated,
      commits: state.seq,
      head: state.head,
      resources: resources.filter(({ deleted }) => !deleted).length,
      deleted: resources.filter(({ deleted }) => deleted).length,
      lineageEntries: resources.reduce((sum, { lineage }) => sum + lineage.length, 0),
      changes: state.changes.size,
      operations: state.operations.size,
      openOperations: open.length,
      writable: problem === null,
      ...problemOf(problem),
    };
    const lines = [
      `location    ${data.location}`,
      state.seq === 0
        ? "store       none yet: the first commit makes it"
        : `store       ${data.store}, since ${data.created}`,
      `commits     ${data.commits}, the last one ${data.updated}`,
      `resources   ${data.resources}, and ${data.deleted} deleted, with ${many(data.lineageEntries, "lineage entry")}`,
      `changes     ${data.changes}, operations ${data.operations}, of them open ${data.openOperations}`,
      ...problemLine(problem),
    ];
    return { code: problem ? 1 : 0, text: lines.join("\n"), data };
  },
};

const verify: Verb = {
  takes: [],
  options: [],
  what: "walk the chain from its first commit; name the first one that does not hold",
  more: "Reads only. Exit code 1 if anything does not hold.",
  async run({ store }) {
    const report = await store.verify();
    const { checkpoint, archive, opens, firstBad, anchored } = report;
    const problem = store.readOnly;
    const part = (ok: boolean, because: string | undefined, fine: string) =>
      ok ? fine : `BAD: ${because ?? "unknown"}`;
    const text = [
      `location    ${store.location}`,
      `chain       ${firstBad ? `BAD: commit ${firstBad.seq}: ${firstBad.because}` : "holds"}; ${many(report.commits, "commit")} verified`,
      `head        ${report.head}`,
      `state.json  ${part(checkpoint.ok, checkpoint.because, checkpoint.appliedSeq === null ? "none" : `agrees with commit ${checkpoint.appliedSeq}`)}`,
      `archive     ${part(archive.ok, archive.because, `${many(archive.segments, "segment")}, up to commit ${archive.floor}`)}`,
      `anchored    ${anchored.length > 0 ? anchored.join(", ") : "nothing: a rewrite of the whole chain would not be seen"}`,
      ...(opens.ok || opens.because === problem?.message ? [] : [`opening     BAD: ${opens.because}`]),
      ...problemLine(problem),
      report.ok ? "ok" : "NOT OK. Nothing was changed.",
    ];
    return {
      code: report.ok ? 0 : 1,
      text: text.join("\n"),
      data: { location: store.location, ...(report as unknown as JsonObject), ...problemOf(problem) },
    };
  },
};

const locks: Verb = {
  takes: [],
  options: [],
  what: "leases and operations under way: who, since when, what",
  more: "Reads only. A process on another host or in another container is `unknown`: nothing can be proved about it here.",
  async run({ store, liveness }) {
    const state = await store.state();
    const held = (await store.leases.list()).filter(({ released }) => !released);
    const leases = await Promise.all(
      held.map(async ({ generation, scope, operation, owner }) => ({
        generation,
        scope: scope ?? "every scope: its file cannot be read",
        operation,
        since: await acquiredAt(store, generation, state.seq),
        owner: owner ? { ...owner } : null,
        holder: owner ? liveness(owner) : "unknown",
        broken: [...(state.leases?.values() ?? [])].some((one) => one.generation === generation && one.broken === true),
      })),
    );
    const operations = openOperations(state).map(({ id, changeId, state: at, intentAt, owner, step, because }) => {
      const change = state.changes.get(changeId)!;
      return {
        operationId: id,
        changeId,
        state: at,
        since: intentAt,
        what: change.summary,
        resource: ridOf(change.steps[step]!.ref),
        user: change.caller.arn,
        owner: { ...owner },
        holder: liveness(owner),
        ...(because !== undefined ? { because } : {}),
      };
    });
    const by = (owner: { pid: number; host: string } | null, is: string) =>
      owner ? `process ${owner.pid} on ${owner.host} (${is})` : "a process that cannot be named";
    const text = [
      ...leases.map(
        (lease) =>
          `lease ${lease.generation}  ${lease.scope}: ${lease.operation}, by ${by(lease.owner, lease.holder)}${lease.since ? `, since ${lease.since}` : ""}`,
      ),
      ...operations.map(
        (one) =>
          `${one.operationId}  ${one.state} since ${one.since}, by ${by(one.owner, one.holder)}: ${one.changeId} ${one.what}, on ${one.resource}`,
      ),
    ];
    const data = present({ location: store.location, leases, operations }) as JsonObject;
    return { code: 0, text: text.length > 0 ? shown(text) : "Nothing is held.", data };
  },
};

/** Commits looked through for the one that recorded a lease. */
const MOST_LOOKED_THROUGH = 1_000;

async function acquiredAt(store: Store, generation: number, seq: number): Promise<string | null> {
  const commits = await store.commits(Math.max(0, seq - MOST_LOOKED_THROUGH), MOST_LOOKED_THROUGH);
  const made = commits.find(({ events }) =>
    events.some((event) => event.type === "lease.acquired" && event.generation === generation),
  );
  return made?.ts ?? null;
}

// ── copying ──────────────────────────────────────────────────────────────────────────────────────────────────────

const exportVerb: Verb = {
  takes: [],
  options: ["out"],
  what: "the whole record with every lineage entry, to stdout or into a new file",
  more: "A file that exists is never overwritten. A damaged state is exported up to the damage, with exit code 1.",
  async run({ store, options, json, warn }) {
    const { text, file: _, ...made } = await store.export({ keep: false });
    const problem = store.readOnly?.code === "state_unreadable" ? store.readOnly : null;
    const code = problem ? 1 : 0;
    if (options.out === undefined) {
      if (problem) warn(`this export ends before the damage. ${problem.message}`);
      return { code, text: text.trimEnd(), data: json ? (JSON.parse(text) as JsonObject) : {} };
    }
    const path = resolve(options.out);
    await createDocument(path, new TextEncoder().encode(text));
    const data = { path, ...made, complete: problem === null, ...problemOf(problem) };
    const lines = [
      `${path}: ${made.bytes} bytes, sha256 ${made.sha256}`,
      `up to commit ${made.seq}: ${many(made.resources, "resource")}, ${many(made.lineageEntries, "lineage entry")}, ${many(made.changes, "change")}, ${many(made.operations, "operation")}`,
      ...problemLine(problem),
    ];
    return { code, text: lines.join("\n"), data };
  },
};

// ── changing ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Longer than a heartbeat has to stand still before its lease is taken over. */
const LEASE_WAIT_MS = 120_000;

const waitingFor = (warn: Desk["warn"]): LeaseWait => ({
  waitMs: LEASE_WAIT_MS,
  waiting: (held) =>
    warn(
      `${heldBy(held)}. Waiting up to ${LEASE_WAIT_MS / 1_000} s until it ends, or until its heartbeat stood still for ${(PATIENCE * held.leaseMs) / 1_000} s.`,
    ),
});

const compact: Verb = {
  takes: [],
  options: [],
  what: "write state.json and move the commits it covers into an archive segment",
  more: "Commits are moved, never changed or dropped. Only those that state.json and the one before it both cover are moved.",
  async run({ store, say, warn }) {
    const { seq } = await store.state();
    say(
      `Writing state.json up to commit ${seq} in ${store.location}, then moving what it and the one before it cover to archive/.`,
    );
    const { archived, floor, removed } = await store.compact(waitingFor(warn));
    const text = archived
      ? `Commits ${archived.from} to ${archived.to} are in archive/ now; ${many(removed, "file")} of journal/ removed.`
      : `There was nothing to move; commits up to ${floor} are in archive/.`;
    return { code: 0, text, data: { archived: archived ? { ...archived } : null, floor, removed } };
  },
};

const rotateKey: Verb = {
  takes: [],
  options: [],
  what: "make a new data key for stored secrets; wrap the older ones anew",
  more: "What was sealed stays readable. Wrapped by the passphrase or KMS key given now; to change the passphrase give the old one as AWS_DEVOPS_MCP_STATE_PASSPHRASE_OLD.",
  async run({ store, user, say, warn }) {
    say(`Making a new data key in keys/ of ${store.location}, and wrapping the older ones anew.`);
    const { kid, rewrapped } = await store.rotateKey(user, waitingFor(warn));
    const older = rewrapped.length > 0 ? ` Wrapped anew: ${rewrapped.join(", ")}.` : "";
    return { code: 0, text: `New secrets are sealed with ${kid}.${older}`, data: { kid, rewrapped: [...rewrapped] } };
  },
};

const unlock: Verb = {
  takes: ["GENERATION"],
  options: ["reason"],
  what: "break a lease whose holder cannot give it back; needs --reason, a terminal and a typed phrase",
  more: "Only after making sure that the holder is gone: two at work at once is what a lease prevents. Recorded for ever.",
  async run({ store, words, options, user, liveness, say, confirmed }) {
    const generation = Number(words[0]);
    if (!Number.isSafeInteger(generation) || generation < 1) {
      throw new ConfigError(`state unlock takes the number of a lease, not "${words[0]}"; state locks shows it`);
    }
    if (!options.reason?.trim()) throw new ConfigError("state unlock needs --reason TEXT: it is recorded");
    const lease = (await store.leases.list()).find((one) => one.generation === generation && !one.released);
    if (!lease) {
      throw new OpsError(
        "validation_error",
        `There is no lease ${generation} that somebody holds. Nothing was changed; ${operatorCommand(["state", "locks"], store.location)} shows those there are.`,
        { field: "generation" },
      );
    }
    const { owner, scope, operation } = lease;
    const holder = owner ? liveness(owner) : "unknown";
    say(
      `Lease ${generation} on ${scope ?? "every scope"} (${operation || "unknown work"}), held by ${owner ? `process ${owner.pid} on ${owner.host}` : "a process that cannot be named"}.`,
    );
    say(
      holder === "alive"
        ? "THAT PROCESS RUNS ON THIS MACHINE. Ending it gives the lease back by itself."
        : holder === "dead"
          ? "That process is gone. The next one that needs the lease takes it over by itself."
          : "This machine cannot see whether that process still runs.",
    );
    say("Breaking it is recorded, and every later commit made under it is refused.");
    const phrase = `break ${generation}`;
    const data = { generation, scope, operation, owner: owner ? { ...owner } : null, holder };
    if (!(await confirmed(phrase))) return notConfirmed(data);
    await store.leases.break(generation, user, options.reason.trim());
    return { code: 0, text: `Lease ${generation} is broken.`, data: { ...data, done: true } };
  },
};

const recover: Verb = {
  takes: [],
  options: [],
  what: "end damage: move what does not hold to quarantine/; needs a terminal and a typed phrase",
  more:
    "Shows what is wrong first. `last_commit`: the damaged last commit goes, and what it recorded has to be looked up in AWS.\n" +
    "`missing_commits`: commits that are gone from the end are given up, and what they recorded has to be looked up in AWS.\n" +
    "`checkpoint`: state.json goes and is written anew from the journal. Everything else is restored from a backup, by hand.",
  async run({ store, say, confirmed }) {
    const damage = store.readOnly;
    if (!damage) return { code: 0, text: "The store is whole: there is nothing to recover.", data: { damage: null } };
    const found = problemOf(damage).problem as JsonObject;
    say(`${damage.code}: ${damage.message}`);
    for (const line of differenceLines(damage)) say(line);
    const choice = choiceFor(damage);
    if (!choice) {
      return {
        code: 1,
        text: "No choice of this command mends that. Nothing was changed; do what the message says.",
        data: { damage: found, choice: null },
      };
    }
    say(`\nChoice \`${choice}\`: ${CHOICES[choice]}`);
    if (!(await confirmed(`recover ${choice}`))) return notConfirmed({ damage: found, choice });
    const { quarantined, operations } = await store.recover(choice);
    const after = store.readOnly;
    const text = [
      `Moved to ${quarantined}.`,
      ...(operations.length > 0
        ? [`It named ${operations.join(", ")}: look up in AWS what became of ${operations.length > 1 ? "them" : "it"}.`]
        : []),
      after ? `Still: ${after.code}: ${after.message}` : "The store takes commits again; start the server anew.",
    ].join("\n");
    const data = { damage: found, choice, quarantined, operations: [...operations], done: true, ...problemOf(after) };
    return { code: after ? 1 : 0, text, data };
  },
};

const CHOICES: Readonly<Record<RecoveryChoice, string>> = {
  checkpoint: "state.json is moved to quarantine/ and written anew from the journal. Nothing of the journal changes.",
  last_commit:
    "the damaged commit is moved to quarantine/ and its number given out again. What it recorded may have happened in AWS.",
  missing_commits:
    "the missing commits are given up and their numbers given out again. What they recorded may have happened in AWS.",
};

/** The one choice that is about this damage; what neither is about has to be restored. */
function choiceFor({ code, details }: OpsError): RecoveryChoice | null {
  if (code !== "state_unreadable" || details.seed === true || details.later === true) return null;
  if (details.file === "state.json") return "checkpoint";
  if (details.file === HEAD) return "missing_commits";
  return details.last === true ? "last_commit" : null;
}

const adoptEdit: Verb = {
  takes: [],
  options: [],
  what: "take an edit of state.json by hand over as a commit; needs a terminal and a typed phrase",
  more: "Shows the difference first. Only current_properties, desired and depends_on of resources can be adopted.",
  async run({ store, user, say, confirmed }) {
    const damage = store.readOnly;
    const difference = differenceOf(damage);
    if (!damage || !difference) {
      return {
        code: 1,
        text: damage ? `${damage.code}: ${damage.message}` : "state.json was not edited: there is nothing to adopt.",
        data: { difference: null, ...problemOf(damage) },
      };
    }
    say(`state.json in ${store.location} was edited by hand. It says otherwise than the journal:`);
    for (const line of differenceLines(damage)) say(line);
    say(
      "\nAdopted, this becomes a commit with a lineage entry; AWS is not touched, and the edited file is kept in quarantine/.",
    );
    const count = Number(damage.details.differences ?? difference.length);
    const data = { differences: count, difference: present(difference) };
    if (!(await confirmed(`adopt ${many(count, "difference")}`))) return notConfirmed(data);
    const { seq } = await store.adopt(user);
    return {
      code: 0,
      text: `Adopted as commit ${seq}. The store takes commits again; start the server anew.`,
      data: { ...data, seq, done: true },
    };
  },
};

const notConfirmed = (data: JsonObject): Told => ({
  code: 1,
  text: "This needs the phrase, typed in a terminal. Nothing was changed.",
  data: { ...data, done: false },
});

function differenceOf(damage: OpsError | null): readonly Difference[] | null {
  const { difference } = damage?.details ?? {};
  return Array.isArray(difference) ? (difference as Difference[]) : null;
}

function differenceLines(damage: OpsError): string[] {
  const difference = differenceOf(damage) ?? [];
  const value = (side: Json | undefined) => (side === undefined ? "nothing" : JSON.stringify(present(side)));
  const more = Number(damage.details.differences ?? 0) - difference.length;
  return [
    ...difference.map(
      ({ path, before, after }) => `  ${String(present(path))}\n    ${value(before)} -> ${value(after)}`,
    ),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

const importVerb: Verb = {
  takes: ["FILE"],
  options: ["dryRun"],
  what: "take over a state.json of version 1.0 of an earlier server, with its whole lineage",
  more:
    "What the state holds already, or an open change holds, is left as it is and named; the rest is one commit. AWS is not\n" +
    "touched: look at the drift afterwards. Secret values are replaced by fingerprints; the file keeps them in clear. --dry-run: say what would be imported.",
  async run({ store, words, options, say }) {
    const path = resolve(words[0]!);
    const bytes = await readDocument(path);
    const { events: all, notTaken } = importSeed(documentOf(path, bytes));
    // The folder may hold nothing but this very file: then it makes way for the store.
    const inPlace = store.readOnly?.details.seed === true && path === resolve(store.location, "state.json");
    if (!inPlace && store.readOnly) throw store.readOnly;
    const state = inPlace ? null : await store.state();
    const plan = state ? admissible(state, all) : { events: all, refused: [] };
    const rows = (events: SeedImport["events"]) =>
      events.map(({ ref, alias, lineage = [] }) => ({
        alias: alias ?? "",
        rid: ridOf(ref),
        lineageEntries: lineage.length,
      }));
    const lines = (events: SeedImport["events"]) =>
      rows(events).map((row) => `  ${row.alias}  ${row.rid}, ${many(row.lineageEntries, "lineage entry")}`);
    const left = [
      ...plan.refused.map(({ alias, rid, because }) => `  not ${alias}  ${rid}: ${because}`),
      ...notTaken.map((what) => `  not ${what}: this version has no place for it`),
    ];
    const entries = plan.events.reduce((sum, { lineage = [] }) => sum + lineage.length, 0);
    const data = present({
      file: path,
      resources: rows(plan.events),
      lineageEntries: entries,
      refused: plan.refused,
      notTaken,
    }) as JsonObject;
    const code = plan.refused.length > 0 || (plan.events.length === 0 && all.length > 0) ? 1 : 0;
    if (options.dryRun) {
      const text = [`Would be imported into ${store.location}:`, ...lines(plan.events), ...left];
      return { code, text: shown(text), data: { ...data, dryRun: true } };
    }
    if (plan.events.length === 0) {
      return { code, text: shown(["Nothing was imported.", ...left]), data: { ...data, done: false } };
    }
    say(shown([`Importing into ${store.location}, as one commit:`, ...lines(plan.events)]));
    let last = plan.refused;
    const prepare = async (fingerprint: Store["fingerprint"]): Promise<Build> => {
      const hidden = await withoutSecrets(fingerprint, all);
      return (now) => {
        const fitting = admissible(now, hidden);
        last = fitting.refused;
        return fitting.events;
      };
    };
    const { seq, quarantined } = inPlace
      ? await store.importInPlace(prepare)
      : { ...(await store.commit(await prepare((value) => store.fingerprint(value)))), quarantined: null };
    const imported = all.length - last.length;
    const text = [
      `Imported ${many(imported, "resource")} with their history as commit ${seq}.`,
      quarantined === null
        ? `${path} was left as it is, with its secrets in clear: delete it once you are content with the import.`
        : `${path} was moved to ${quarantined}, with its secrets in clear: delete it there once you are content with the import.`,
      ...left,
    ];
    return { code, text: shown(text), data: { ...data, imported, seq, quarantined, done: true } };
  },
};

function documentOf(path: string, bytes: Uint8Array): unknown {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new OpsError("validation_error", `${path} is not JSON: ${(cause as Error).message}. Nothing was imported.`, {
      field: "file",
    });
  }
  if (isObject(document) && isObject(document.journal)) {
    throw new OpsError(
      "validation_error",
      `${path} is a state.json of this server, not of an earlier one. Nothing was imported; give --state the folder it belongs to.`,
      { field: "file" },
    );
  }
  return document;
}

/**
 * The events with fingerprints in place of what is secret by its name or write-only by the shipped schema: an earlier
 * server kept clear values.
 */
async function withoutSecrets(
  fingerprint: Store["fingerprint"],
  events: SeedImport["events"],
): Promise<SeedImport["events"]> {
  const keeper = secretKeeper(fingerprint);
  return Promise.all(
    events.map(async (event) => {
      const schema = await shippedSchema(event.ref.type);
      const hidden = async (document: JsonObject | null) => document && (await keeper.hideFacts(document, schema));
      return {
        ...event,
        properties: await hidden(event.properties),
        lineage: await Promise.all(
          (event.lineage ?? []).map(async (entry) => ({
            ...entry,
            before: await hidden(entry.before),
            after: await hidden(entry.after),
            ...(entry.patch ? { patch: await keeper.hidePatch(entry.patch, schema) } : {}),
            ...(isObject(entry.policyResults)
              ? { policyResults: await keeper.hideFacts(entry.policyResults as JsonObject) }
              : {}),
          })),
        ),
      };
    }),
  );
}

// ── the verbs ────────────────────────────────────────────────────────────────────────────────────────────────────

/** In the order help shows them. A new verb is one entry. */
const VERBS: ReadonlyMap<string, Verb> = new Map(
  Object.entries({
    show,
    verify,
    locks,
    export: exportVerb,
    compact,
    "rotate-key": rotateKey,
    import: importVerb,
    unlock,
    recover,
    "adopt-edit": adoptEdit,
  }),
);

const usage = (name: string, { takes, options }: Verb): string =>
  [name, ...takes, ...options.map((option) => `[${FLAG[option]}]`)].join(" ");

function help(): string {
  const rows = [...VERBS].map(([name, verb]) => [usage(name, verb), verb.what] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return `aws-devops-mcp ${VERSION}: the state folder

Usage: aws-devops-mcp state VERB [--state DIR] [--json]

Verbs:
${rows.map(([left, what]) => `  ${left.padEnd(width)}${what}`).join("\n")}

Exit codes: 0 done and well, 1 refused or bad, 2 usage. More on one verb: aws-devops-mcp state VERB --help
`;
}

const verbHelp = (name: string, verb: Verb): string =>
  `Usage: aws-devops-mcp state ${usage(name, verb)} [--state DIR] [--json]\n\n${verb.what}\n\n${verb.more}\n`;

const asNull = (error: unknown): null => {
  if (error instanceof OpsError) return null;
  throw error;
};
