// Starts the scripted Cloud Control as a process of its own: node test/cloud-control/cli.mjs [port]. Prints its endpoint; ends with its input.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const entryPoint = fileURLToPath(new URL("server.ts", import.meta.url));
const { outputFiles } = await build({
  entryPoints: [entryPoint],
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  write: false,
});
const code = Buffer.from(outputFiles[0].contents).toString("base64");
const { startCloudControl } = await import(`data:text/javascript;base64,${code}`);
const { endpoint } = await startCloudControl({ port: Number(process.argv[2] ?? 0) });
process.stdout.write(`${endpoint}\n`);
process.stdin.resume();
process.stdin.once("end", () => process.exit(0));
