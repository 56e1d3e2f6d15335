// The scripted Cloud Control as a process of its own, as demos and kill tests use it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("prints its endpoint, answers, and ends when its input does", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("cli.mjs", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const reply = await fetch(`${line.toString().trim()}/_control/calls`);
  expect(await reply.json()).toEqual([]);
  child.stdin.end();
  expect((await once(child, "exit"))[0]).toBe(0);
});
