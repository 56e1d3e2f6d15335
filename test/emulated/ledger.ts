// The coverage ledger: which tool used which AWS operation, and who answered. Recorded at the proxy, for passing tests only; nobody edits it.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Seen } from "./proxy.js";

export interface Row {
  readonly tool: string;
  readonly service: string;
  readonly operation: string;
  /** "moto" is independent evidence, "scripted" is ours, "sandbox" is none. */
  readonly backend: string;
}

/** What one test file proved. */
export interface Fragment {
  readonly testFile: string;
  readonly rows: readonly Row[];
}

export interface Ledger {
  /** What the proxy saw under this call's id is the tool's, and so is what it will see: an answer may come before its last read. */
  book(tool: string, call: string, proxy: Witness): void;
  /** The test passed: what it recorded counts. */
  commit(): void;
  /** The test failed: it does not. */
  discard(): void;
  /** For afterEach: commit or discard by the test's own result. */
  settle(task: { readonly result?: { readonly state: string } }): void;
  /** Writes this file's fragment; call it once, after the last test. */
  flush(): void;
}

export interface Witness {
  readonly seen: readonly Seen[];
}

/**
 * One per test file; `testFile` names the fragment, so a second run replaces the first.
 * @param note told of every request that is booked on a tool, also in tests that fail
 */
export function createLedger(
  dir: string,
  testFile: string,
  note: (tool: string, seen: Seen) => void = () => {},
): Ledger {
  const name = testFile.replace(/^file:\/\//, "").replace(/^.*?\/(?=test\/)/, "");
  const kept = new Map<string, Row>();
  let pending: Row[] = [];
  const tools = new Map<string, string>();
  const witnesses = new Set<Witness>();
  const booked = new WeakSet<Seen>();

  function sweep(): void {
    for (const each of [...witnesses].flatMap(({ seen }) => seen)) {
      const tool = tools.get(each.call ?? "");
      if (tool === undefined || booked.has(each)) continue;
      booked.add(each);
      note(tool, each);
      pending.push(...rowsOf(tool, each));
    }
  }

  const ledger: Ledger = {
    book(tool, call, proxy) {
      tools.set(call, tool);
      witnesses.add(proxy);
      sweep();
    },
    commit() {
      for (const row of pending) kept.set(keyOf(row), row);
      pending = [];
    },
    discard() {
      pending = [];
    },
    settle({ result }) {
      sweep();
      if (result?.state === "pass") ledger.commit();
      else ledger.discard();
    },
    flush() {
      mkdirSync(dir, { recursive: true });
      const file = join(dir, `${basename(name)}-${createHash("sha256").update(name).digest("hex").slice(0, 8)}.json`);
      const fragment: Fragment = { testFile: name, rows: sorted([...kept.values()]) };
      writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(fragment, null, 1)}\n`);
      renameSync(`${file}.${process.pid}`, file);
    },
  };
  return ledger;
}

/** A request that no backend took proves nothing; an injected answer is our own script. */
function rowsOf(tool: string, { service, operation, backend, fate }: Seen): Row[] {
  // Asked once a process, by whichever tool comes first: evidence for the one tool that is about it.
  if (operation === "GetCallerIdentity" && tool !== "session.whoami") return [];
  if (fate === "requestDropped" || fate === "gap") return [];
  return [{ tool, service, operation, backend: fate === "injected" ? "scripted" : backend }];
}

function keyOf({ tool, service, operation, backend }: Row): string {
  return [tool, service, operation, backend].join("\n");
}

function sorted(rows: readonly Row[]): Row[] {
  const keyed = rows.map((row) => [keyOf(row), row] as const);
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);
}

/** Forget the last run's fragments: a deleted test must not go on testifying. */
export function clearFragments(dir: string): void {
  rmSync(dir, { recursive: true, force: true });
}

export function readFragments(dir: string): Fragment[] {
  if (!existsSync(dir)) return [];
  const files = readdirSync(dir).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => JSON.parse(readFileSync(join(dir, file), "utf8")) as Fragment);
}

/**
 * The end of a test run. With REQUIRE_EMULATORS=1 it writes the file; otherwise it only says whether the file is up to date, which means
 * something only when nothing was skipped.
 */
export function settleLedger(file: string, text: string): "written" | "current" | "stale" {
  if (process.env.REQUIRE_EMULATORS !== "1")
    return existsSync(file) && readFileSync(file, "utf8") === text ? "current" : "stale";
  writeFileSync(file, text);
  return "written";
}
