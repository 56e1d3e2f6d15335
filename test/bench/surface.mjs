// Start-up and surface: medians of one run beside bare Node in the same run. Prints, decides nothing.

import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { arch, cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encode } from "gpt-tokenizer/encoding/o200k_base";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const RUNS = Number(process.argv[3] ?? 15);
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "bench", version: "1" } },
};
const lines = (messages) => messages.map((message) => `${JSON.stringify(message)}\n`).join("");

/** Milliseconds from spawn until the answer with this id, and that answer. */
function answered(args, input, id) {
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const child = spawn(process.execPath, args, {
      stdio: ["pipe", "pipe", "ignore"],
      env: { PATH: process.env.PATH, HOME: "/nonexistent" },
    });
    let text = "";
    child.on("error", reject);
    child.stdout.on("data", (chunk) => {
      text += chunk;
      const answer = text
        .split("\n")
        .filter(Boolean)
        .map(tryParse)
        .find((message) => message?.id === id);
      if (!answer) return;
      const ms = Number(process.hrtime.bigint() - start) / 1e6;
      child.stdin.end();
      child.once("exit", () => resolve({ ms, answer }));
    });
    child.stdin.write(input);
  });
}

function tryParse(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const bare = ["-e", 'process.stdin.once("data",()=>process.stdout.write(\'{"id":1}\\n\'))'];
const list = lines([
  INITIALIZE,
  { jsonrpc: "2.0", method: "notifications/initialized" },
  { jsonrpc: "2.0", id: 2, method: "tools/list" },
]);

const times = { "bare Node": [], "spawn → initialize": [], "spawn → tools/list": [] };
let tools = [];
for (let run = 0; run < RUNS; run++) {
  times["bare Node"].push((await answered(bare, lines([INITIALIZE]), 1)).ms);
  times["spawn → initialize"].push((await answered([CLI], lines([INITIALIZE]), 1)).ms);
  const listed = await answered([CLI, "--allow-writes"], list, 2);
  times["spawn → tools/list"].push(listed.ms);
  tools = listed.answer.result.tools;
}

const out = (text = "") => process.stdout.write(`${text}\n`);
out(`node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? arch()}, ${RUNS} runs each, interleaved`);
for (const [name, values] of Object.entries(times)) {
  out(
    `${name.padEnd(22)} median ${median(values).toFixed(0).padStart(5)} ms   ratio to bare Node ${(median(values) / median(times["bare Node"])).toFixed(2)}`,
  );
}
const costs = tools.map((tool) => [tool.name, encode(JSON.stringify(tool)).length]);
out(`tools/list             ${tools.length} tools, ${encode(JSON.stringify(tools)).length} tokens (o200k), whole JSON`);
for (const [name, cost] of costs.sort((a, b) => b[1] - a[1]).slice(0, 5)) out(`  ${String(cost).padStart(5)}  ${name}`);
const dist = join(CLI, "..");
const size = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && file.name.endsWith(".js"))
    .reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0);
out(
  `bundle                 ${(size(dist) / 1024).toFixed(0)} KiB of JavaScript, entry ${(statSync(CLI).size / 1024).toFixed(1)} KiB`,
);
