// Installs moto once per pinned requirements file. The marker is written last: a folder without it is never used.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

/** What is missing, and the command that installs it. */
export interface Unavailable {
  readonly unavailable: string;
}

export interface Installed {
  readonly python: string;
  /** How long the install took; 0 when it was already there. */
  readonly installSeconds: number;
}

interface Python {
  readonly command: string;
  readonly venv: boolean;
  readonly virtualenv: boolean;
}

const here = dirname(fileURLToPath(import.meta.url));
const requirements = join(here, "requirements.txt");
const cache = join(here, "..", "..", ".cache", "emulators");
const byHand = "or run moto yourself and set MOTO_ENDPOINT to its loopback URL";

/** Finds or makes the environment. Two processes may call it at once: one installs, the other waits for the marker. */
export async function installMoto(root = cache): Promise<Installed | Unavailable> {
  const folder = join(root, createHash("sha256").update(readFileSync(requirements)).digest("hex"));
  const ready = () => (isComplete(folder) ? { python: pythonIn(folder), installSeconds: 0 } : undefined);
  const found = ready();
  if (found) return found;
  const python = findPython();
  if ("unavailable" in python) return python;
  mkdirSync(root, { recursive: true });
  for (let waited = 0; waited < 3000; waited++) {
    const release = takeLock(`${folder}.lock`);
    if (release) {
      try {
        return ready() ?? build(python, folder);
      } finally {
        release();
      }
    }
    await pause(200);
    const made = ready();
    if (made) return made;
  }
  return { unavailable: `moto (another process holds ${folder}.lock; remove it)` };
}

function build(python: Python, folder: string): Installed | Unavailable {
  const began = performance.now();
  rmSync(folder, { recursive: true, force: true });
  const steps = [
    [python.command, "-m", python.venv ? "venv" : "virtualenv", folder],
    [
      pythonIn(folder),
      "-m",
      "pip",
      "install",
      "--disable-pip-version-check",
      "--quiet",
      "--require-hashes",
      "-r",
      requirements,
    ],
  ];
  for (const [command, ...args] of steps) {
    const done = spawnSync(command!, args, { encoding: "utf8", timeout: 600_000 });
    if (done.status !== 0) {
      const why = (done.stderr || done.error?.message || "").trim().split("\n").at(-1);
      return {
        unavailable: `moto (${command} ${args.slice(0, 3).join(" ")} failed: ${why}); check the network, ${byHand}`,
      };
    }
  }
  const installSeconds = Math.round((performance.now() - began) / 100) / 10;
  writeFileSync(`${markerOf(folder)}.new`, `${JSON.stringify({ python: python.command, installSeconds })}\n`);
  renameSync(`${markerOf(folder)}.new`, markerOf(folder));
  return { python: pythonIn(folder), installSeconds };
}

/** The first Python >= 3.10 that can make an environment. */
function findPython(): Python | Unavailable {
  const probe =
    "import sys,json,importlib.util as u;print(json.dumps([list(sys.version_info[:2]),bool(u.find_spec('ensurepip')),bool(u.find_spec('virtualenv'))]))";
  const names = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python"];
  let bare: string | undefined;
  for (const command of [process.env.PYTHON, ...names]) {
    if (!command) continue;
    const asked = spawnSync(command, ["-c", probe], { encoding: "utf8" });
    if (asked.status !== 0) continue;
    const [[major, minor], venv, virtualenv] = JSON.parse(asked.stdout) as [[number, number], boolean, boolean];
    if (major !== 3 || minor < 10) continue;
    if (venv || virtualenv) return { command, venv, virtualenv };
    bare ??= command;
  }
  if (bare) return { unavailable: `the venv module of ${bare}: apt-get install python3-venv` };
  return { unavailable: `Python 3.10 or newer: apt-get install python3 python3-venv, ${byHand}` };
}

/** Undefined when somebody else holds it. A lock appears with its owner inside, so a dead owner's can be told and taken. */
function takeLock(lock: string): (() => void) | undefined {
  const mine = `${lock}.${process.pid}`;
  rmSync(mine, { recursive: true, force: true });
  mkdirSync(mine);
  writeFileSync(join(mine, "pid"), String(process.pid));
  const grave = `${mine}.gone`;
  if (moved(mine, lock)) {
    return () => {
      moved(lock, grave);
      rmSync(grave, { recursive: true, force: true });
    };
  }
  const owner = ownerOf(lock);
  if (owner !== undefined && !isAlive(owner) && moved(lock, grave)) {
    // Between the look and the move a new owner may have come: give the lock back to it.
    if (ownerOf(grave) !== owner) moved(grave, lock);
    rmSync(grave, { recursive: true, force: true });
  }
  rmSync(mine, { recursive: true, force: true });
  return undefined;
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}

function ownerOf(lock: string): number | undefined {
  try {
    return Number(readFileSync(join(lock, "pid"), "utf8"));
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isComplete(folder: string): boolean {
  return existsSync(markerOf(folder)) && existsSync(pythonIn(folder));
}

function markerOf(folder: string): string {
  return join(folder, "complete.json");
}

function pythonIn(folder: string): string {
  return process.platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
}
