#!/usr/bin/env node
// The command: serve (default), approve, audit, iam-policy, state and demo. The only file that touches `process`.

import { randomBytes, randomUUID } from "node:crypto";
import module from "node:module";
import { hostname, userInfo } from "node:os";
import { createInterface } from "node:readline/promises";
import { ConfigError, flagHelp, loadConfig } from "./config.js";
import { OpsError } from "./core/errors.js";
import type { Clock, Ids } from "./core/ports.js";
import { VERSION } from "./version.js";

// The SDK's versions are pinned: its advice to upgrade Node is for us, not for whoever reads this server's log.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
// Node 22 and later keep compiled code between starts; Node 20 has no such call.
(module as { enableCompileCache?: () => void }).enableCompileCache?.();

const COMMANDS = {
  serve: "speak MCP on stdin and stdout (default)",
  approve: "CHANGE: show a planned change and approve it, in a terminal",
  audit: "show the audit log, newest first; audit purge DAYS drops older rows; aws-devops-mcp audit --help",
  "iam-policy": "the IAM policy that --toolsets need, as JSON: for reading, with --write also for their changes",
  state: "VERB: look at the state folder, copy it, mend it; aws-devops-mcp state --help",
  demo: "play the three dangers against the sandbox; --json for one JSON document",
} as const;

const HELP = `aws-devops-mcp ${VERSION}: AWS for an AI assistant that never acts on stale knowledge

Usage: aws-devops-mcp [command] [options]

Commands:
${Object.entries(COMMANDS)
  .map(([name, what]) => `  ${name.padEnd(12)}${what}`)
  .join("\n")}

Options:
${flagHelp()}
  --help, -h             this text
  --version, -v          the version

Every option may be set as AWS_DEVOPS_MCP_<NAME>, e.g. AWS_DEVOPS_MCP_REGION. Credentials come from the AWS
default chain, never from --env-file. Endpoints come from AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>.
`;

const clock: Clock = {
  now: () => new Date(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", abort, { once: true });
    }),
  later(ms, run) {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};

const ids: Ids = { uuid: () => randomUUID(), bytes: (count) => randomBytes(count) };

async function main(argv: readonly string[]): Promise<number> {
  const { config, positionals, help, version, json, options, env, notices } = loadConfig(argv, process.env);
  const [command = "serve", ...extra] = positionals;
  if (version) return print(`${VERSION}\n`);
  if (help && command !== "state" && command !== "audit") return print(HELP);
  if (!(command in COMMANDS))
    throw new ConfigError(`"${command}" is no command; there are ${Object.keys(COMMANDS).join(", ")}`);
  const terminal = process.stdin.isTTY && process.stdout.isTTY ? { ask } : null;
  const write = (text: string) => void process.stdout.write(text);
  if (command === "state") {
    const { stateCommand } = await import("./state-command.js");
    return stateCommand(config, { words: extra, options, help, json }, { ...thisMachine(env), terminal, write });
  }
  if (command === "iam-policy") {
    const { write: writes = false, ...others } = options;
    if (extra.length > 0 || Object.keys(others).length > 0)
      throw new ConfigError("iam-policy takes --toolsets, --write and --cloudwatch");
    const { iamPolicy } = await import("./iam/command.js");
    const { cloudwatch, cloudwatchLogGroup: group, region } = config;
    return print(iamPolicy(config.toolsets, { write: writes, ...(cloudwatch && { logs: { group, region } }) }));
  }
  if (command === "audit") {
    const { auditCommand } = await import("./audit-command.js");
    return auditCommand(config, { words: extra, options, help, json }, { ...thisMachine(env), write });
  }
  const [option] = Object.keys(options);
  if (option !== undefined) {
    const owner = option === "write" ? "iam-policy" : /^(out|reason|dryRun)$/.test(option) ? "state" : "audit";
    throw new ConfigError(`--${option === "dryRun" ? "dry-run" : option} is an option of the ${owner} command`);
  }
  if (command === "approve") {
    const { approve } = await import("./approve.js");
    return approve(config, extra, { ...thisMachine(env), terminal, write });
  }
  if (extra.length > 0) throw new ConfigError(`"${extra[0]}" is one word too many after ${command}`);
  if (command === "demo") {
    const { demo } = await import("./demo/index.js");
    return demo({
      server: { command: process.execPath, args: [...process.execArgv, process.argv[1]!] },
      json,
      clock,
      env: process.env,
      colour: process.stdout.isTTY === true,
      write,
    });
  }
  const { serve } = await import("./serve.js");
  return serve(config, {
    ...thisMachine(env),
    notices,
    stdin: process.stdin,
    stdout: process.stdout,
    onSignal: (stop) => {
      process.once("SIGINT", stop);
      process.once("SIGTERM", stop);
    },
  });
}

const thisMachine = (env: Readonly<Record<string, string | undefined>>) => ({
  clock,
  ids,
  env,
  host: hostname(),
  user: userName(),
  pid: process.pid,
  pidExists,
  writeLog: (line: string) => void process.stderr.write(line),
});

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return process.env.USER ?? "unknown";
  }
}

function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
    if (code !== 0 || process.stdin.readableEnded) process.exit(code);
  },
  (error: unknown) => {
    if (error instanceof ConfigError)
      process.stderr.write(`aws-devops-mcp: ${error.message}\nSee aws-devops-mcp --help.\n`);
    else if (error instanceof OpsError) process.stderr.write(`aws-devops-mcp: ${error.code}: ${error.message}\n`);
    else process.stderr.write(`aws-devops-mcp: ${(error as Error)?.stack ?? String(error)}\n`);
    process.exit(error instanceof ConfigError ? 2 : 1);
  },
);
