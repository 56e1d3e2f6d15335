// The product under test: the built server as a child, its AWS = fault proxy → moto, with Cloud Control and CloudTrail scripted.

import { createCatalogue } from "../../src/catalogue.js";
import { CORRELATION } from "../../src/render.js";
import { domains } from "../../tools/index.js";
import { type CloudControl, startCloudControl } from "../cloud-control/server.js";
import { type Answer, type Assistant, type ServerOptions, startAssistant, temporaryFolder } from "../harness.js";
import { clientsFor, emulatedEnvironment } from "./clients.js";
import { undeclared } from "./declared.js";
import { describeType } from "./describe-type.js";
import { createLedger, type Ledger } from "./ledger.js";
import { type ScriptedTrail, scriptedTrail } from "./lookup-events.js";
import { type Moto, motoFor } from "./moto.js";
import { type FaultProxy, startProxy } from "./proxy.js";
import { startScriptedHttp } from "./scripted-http.js";

export const LEDGER_DIR = new URL("../../.cache/ledger/", import.meta.url).pathname;
const catalogue = createCatalogue(domains, { allowWrites: true });

export interface Product {
  readonly moto: Moto;
  readonly proxy: FaultProxy;
  readonly cloudControl: CloudControl;
  readonly trail: ScriptedTrail;
  /** Somebody else in the account: plain SDK clients, past the proxy. */
  readonly outsider: ReturnType<typeof clientsFor>;
  readonly ledger: Ledger;
  readonly stateDir: string;
  /**
   * A server process on this account and state folder, and a client on it. `fetches`: what is handed over for taking long
   * is fetched (the default), so that a slow machine gives the same answers.
   */
  start(options?: ServerOptions & { readonly fetches?: boolean }): Promise<Assistant>;
  /** What AWS saw of an operation. */
  calls(service: string, operation: string): ReturnType<FaultProxy["calls"]>;
  close(): Promise<void>;
}

/** The answer of a call that may have been handed over, as an honest client comes to it. */
async function fetched(assistant: Assistant, first: Answer): Promise<Answer> {
  if (first.data?.next?.tool !== "operations_get") return first;
  for (;;) {
    const answer = await assistant.call("operations_get", first.data.next.arguments);
    if (answer.isError) return answer;
    const { state, result, error } = answer.data;
    if (state !== "running") return { ...first, isError: state !== "complete", data: result ?? error };
  }
}

/**
 * Everything for one test file; `undefined` after one loud line when the emulator is missing.
 * @param routes services whose answers this suite scripts itself: credential scope → endpoint
 */
export async function startProduct(
  suite: string,
  testFile: string,
  routes: Readonly<Record<string, string>> = {},
): Promise<Product | undefined> {
  const moto = await motoFor(suite);
  if (!moto) return undefined;
  const cloudControl = await startCloudControl();
  const registry = await startScriptedHttp(describeType);
  const trail = scriptedTrail();
  const cloudTrail = await startScriptedHttp((request) => trail.answer(request));
  const proxy = await startProxy(moto.endpoint, {
    routes: {
      cloudcontrolapi: cloudControl.endpoint,
      cloudformation: registry.endpoint,
      cloudtrail: cloudTrail.endpoint,
      ...routes,
    },
  });
  const outsider = clientsFor(moto.endpoint);
  const strays = new Set<string>();
  const ledger = createLedger(LEDGER_DIR, testFile, (tool, seen) => {
    for (const one of undeclared(tool, [seen])) strays.add(one);
  });
  const folder = temporaryFolder();
  const open = new Set<Assistant>();

  return {
    moto,
    proxy,
    cloudControl,
    trail,
    outsider,
    ledger,
    stateDir: `${folder.path}/state`,
    calls: (service, operation) => proxy.calls({ service, operation }),
    async start({ args = [], env = {}, fetches = true, ...rest } = {}) {
      const assistant = await startAssistant({
        ...rest,
        // A look beside a call would be booked on whichever tool it stands beside, more of them on a slow machine.
        args: [
          ...["--allow-writes", "--approve-from", "never", "--revalidate", "off"],
          ...["--state", `${folder.path}/state`, ...args],
        ],
        env: { ...emulatedEnvironment(proxy.endpoint), ...env },
      });
      open.add(assistant);
      return {
        ...assistant,
        async call(tool, given, onProgress): Promise<Answer> {
          const asked = tool === "tools_run" ? String(given?.tool) : tool;
          const name = catalogue.find(asked)?.name;
          const first = await assistant.call(tool, given, onProgress);
          const answer = fetches ? await fetched(assistant, first) : first;
          const id = first.meta[CORRELATION];
          if (name !== undefined && typeof id === "string") ledger.book(name, id, proxy);
          return answer;
        },
        async close() {
          open.delete(assistant);
          await assistant.close();
        },
      };
    },
    async close() {
      ledger.flush();
      for (const assistant of open) await assistant.close().catch(() => {});
      outsider.close();
      await proxy.stop();
      await cloudControl.stop();
      await registry.stop();
      await cloudTrail.stop();
      await moto.stop();
      folder.remove();
      if (strays.size > 0) throw new Error(`src/iam/uses.ts does not name:\n${[...strays].sort().join("\n")}`);
    },
  };
}
