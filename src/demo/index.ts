// `aws-devops-mcp demo`: the real server as a child over stdio, a real MCP client, and an outsider in the same sandbox.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outsider } from "../aws/sandbox/outsider.js";
import { fileStore } from "../aws/sandbox/world-file.js";
import type { JsonObject } from "../core/json.js";
import type { Clock } from "../core/ports.js";
import { connect, type Spawn } from "./client.js";
import { type Scene, type Stage, scenes, type Verdict } from "./scenes.js";
import { teller } from "./tell.js";

export interface DemoOptions {
  readonly server: Spawn;
  readonly json: boolean;
  readonly colour: boolean;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  write(text: string): void;
}

interface Played {
  readonly name: string;
  readonly calls: ReadonlyArray<{ readonly tool: string; readonly arguments: JsonObject; readonly result: JsonObject }>;
  readonly verdict: Verdict;
}

/** Plays every scene. Exit code 1 if a danger was not averted. */
export async function demo(options: DemoOptions): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "aws-devops-mcp-demo-"));
  const tell = teller(options.json ? () => {} : options.write, options.colour);
  try {
    const played: Played[] = [];
    tell.opening();
    for (const [index, scene] of scenes.entries())
      played.push(await play(scene, join(folder, `${index}`), options, tell));
    const held = played.every(({ verdict }) => verdict.held);
    if (options.json) options.write(`${JSON.stringify({ scenes: played }, null, 2)}\n`);
    else tell.closing(played.map(({ name, verdict }) => ({ name, ...verdict })));
    return held ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function play(
  scene: Scene,
  folder: string,
  options: DemoOptions,
  tell: ReturnType<typeof teller>,
): Promise<Played> {
  const world = `${folder}-world.json`;
  const { command, args } = options.server;
  const assistant = await connect(
    { command, args: [...args, "--sandbox", "--sandbox-world", world, "--state", `${folder}-state`] },
    // Nothing of the operator's AWS configuration reaches the child.
    { PATH: options.env.PATH ?? "", HOME: folder },
  );
  const calls: Array<Played["calls"][number]> = [];
  const stage: Stage = {
    outsider: outsider(fileStore(world, options.clock), options.clock),
    async call(tool, given) {
      tell.asks(tool, given);
      const told = await assistant.call(tool, given);
      tell.told(told);
      calls.push({ tool, arguments: given, result: told.data });
      return told;
    },
    say: (who, what) => tell.says(who, what),
  };
  try {
    tell.scene(scene.title);
    const verdict = await scene.play(stage);
    tell.verdict(verdict);
    return { name: scene.name, calls, verdict };
  } finally {
    await assistant.close();
  }
}
