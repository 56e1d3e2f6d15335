// The passphrase of the stored secrets: where it may come from, what is refused at the start, and that it is told to nobody.

import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError, loadConfig, statePassphrases } from "../../src/config.js";
import { buildStore } from "../../src/serve.js";
import { startAssistant, temporaryFolder } from "../harness.js";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const PASSPHRASE = "AWS_DEVOPS_MCP_STATE_PASSPHRASE";
const WORDS = "correct horse battery staple";

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

function fileWith(text: string, mode = 0o600): string {
  const path = join(folder.path, "passphrase");
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

function refused(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  try {
    loadConfig(argv, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("--rollback-secrets", () => {
  it("is off by itself, and refused without a key, naming both ways and where it was said", () => {
    expect(loadConfig([], {}).config.rollbackSecrets).toBe(false);
    for (const [argv, env, said] of [
      [["--rollback-secrets"], {}, "--rollback-secrets"],
      [[], { AWS_DEVOPS_MCP_ROLLBACK_SECRETS: "1" }, "AWS_DEVOPS_MCP_ROLLBACK_SECRETS"],
    ] as const) {
      const message = refused(argv, env);
      expect(message).toContain(`${said} needs a key`);
      expect(message).toContain(PASSPHRASE);
      expect(message).toContain("--state-kms-key");
    }
  });

  it("takes a passphrase from the environment or a file, or a KMS key", () => {
    const file = fileWith(`${WORDS}\n`);
    for (const [argv, env] of [
      [[], { [PASSPHRASE]: WORDS }],
      [["--state-passphrase-file", file], {}],
      [["--state-kms-key", "alias/state"], {}],
      [["--state-kms-key", "arn:aws:kms:eu-west-1:123456789012:key/0f0f-1"], {}],
    ] as const) {
      const { config } = loadConfig(["--rollback-secrets", ...argv], env);
      expect(config.rollbackSecrets).toBe(true);
      expect(JSON.stringify(config)).not.toContain(WORDS);
    }
    expect(statePassphrases({ statePassphraseFile: file }, {})).toEqual({
      passphrase: { text: WORDS, source: file },
    });
    expect(statePassphrases({}, { [PASSPHRASE]: WORDS, [`${PASSPHRASE}_OLD`]: "old" })).toEqual({
      passphrase: { text: WORDS, source: PASSPHRASE },
      oldPassphrase: { text: "old", source: `${PASSPHRASE}_OLD` },
    });
  });
});

describe("what is refused", () => {
  it.each([
    ["a file that others can read", () => refused(["--state-passphrase-file", fileWith(WORDS, 0o640)]), "chmod 600"],
    ["a file that is not there", () => refused(["--state-passphrase-file", "/nonexistent/x"]), "/nonexistent/x"],
    ["too few characters", () => refused([], { [PASSPHRASE]: "short" }), "at least 12"],
    [
      "two at once",
      () => refused(["--state-passphrase-file", fileWith(WORDS)], { [PASSPHRASE]: WORDS }),
      "give one of them",
    ],
    ["a key name that is none", () => refused(["--state-kms-key", "my key"]), "--state-kms-key"],
    [
      "AWS beside the sandbox",
      () => refused(["--sandbox", "--state-kms-key", "alias/state"]),
      "--sandbox cannot be combined",
    ],
    ["the passphrase as an option", () => refused(["--state-passphrase", WORDS]), "--state-passphrase"],
  ])("%s", (_, attempt, said) => {
    const message = attempt();
    expect(message).toContain(said);
    expect(message).not.toContain(WORDS);
    expect(message).not.toContain('"short"');
  });

  it("the passphrase in the configuration file", () => {
    const path = join(folder.path, "config.json");
    writeFileSync(path, JSON.stringify({ statePassphrase: WORDS }));
    const message = refused(["--config", path]);
    expect(message).toContain("statePassphrase");
    expect(message).not.toContain(WORDS);
  });
});

describe("a server", () => {
  it("seals with the passphrase of its file, and names that file when it is another one", async () => {
    const host = {
      clock: { now: () => new Date(), monotonic: () => 0, sleep: async () => {} },
      ids: { uuid: () => randomUUID(), bytes: (count: number) => randomBytes(count) },
      env: {},
      host: "test",
      user: "alice",
      pid: process.pid,
      pidExists: () => true,
      writeLog: () => {},
    };
    const state = join(folder.path, "state");
    const at = async (words: string) => {
      const file = fileWith(words);
      const argv = ["--sandbox", "--state", state, "--rollback-secrets", "--state-passphrase-file", file];
      return buildStore(loadConfig(argv, {}).config, host, "test");
    };
    const place = { rid: "r", path: "/p", print: "0".repeat(64) };
    const { store } = await at(WORDS);
    const envelope = await store.keys.seal(place, "hunter2");
    expect(JSON.parse(readFileSync(join(state, "keys", `${envelope.kid}.json`), "utf8")).wrap.kdf).toMatchObject({
      name: "scrypt",
      n: 2 ** 17,
      r: 8,
      p: 1,
    });
    await store.close();
    const again = await at(`${WORDS}\n`);
    expect(await again.store.keys.open(place, envelope)).toBe("hunter2");
    await again.store.close();
    const other = await at("some other passphrase");
    await expect(other.store.keys.open(place, envelope)).rejects.toMatchObject({
      code: "key_unavailable",
      message: expect.stringContaining(join(folder.path, "passphrase")),
    });
    await other.store.close();

    const run = (words: string[], env: Record<string, string>) =>
      promisify(execFile)(process.execPath, [CLI, "state", ...words, "--sandbox", "--state", state, "--json"], {
        env,
      }).then(
        ({ stdout }) => ({ code: 0, ...JSON.parse(stdout) }),
        (error) => ({ code: error.code, ...JSON.parse(error.stdout) }),
      );
    const wrong = await run(["rotate-key"], { [PASSPHRASE]: "a third passphrase" });
    expect(wrong).toMatchObject({ code: 1, error: { code: "key_unavailable" } });
    const rotated = await run(["rotate-key"], { [PASSPHRASE]: "a third passphrase", [`${PASSPHRASE}_OLD`]: WORDS });
    expect(rotated).toMatchObject({ code: 0, kid: expect.stringMatching(/^k2-/), rewrapped: [envelope.kid] });
    const third = await at("a third passphrase");
    expect(await third.store.keys.open(place, envelope)).toBe("hunter2");
    await third.store.close();
  });

  it("tells its client nothing of it", async () => {
    const assistant = await startAssistant({
      args: ["--sandbox", "--rollback-secrets", "--log-level", "debug"],
      env: { [PASSPHRASE]: WORDS },
    });
    try {
      const who = await assistant.call("session_whoami");
      expect(who.isError, JSON.stringify(who.data)).toBe(false);
      expect(JSON.stringify(who)).not.toContain(WORDS);
      expect(assistant.stderr()).not.toContain(WORDS);
    } finally {
      await assistant.close();
    }
  });
});
