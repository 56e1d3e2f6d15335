// The app in this process on a scripted Cloud Control, by the real SDK and a clock of ours: for what takes hours at AWS.

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";
import { createAws } from "../../src/aws/index.js";
import type { JsonObject } from "../../src/core/json.js";
import type { Aws, Clock } from "../../src/core/ports.js";
import { emulatedEnvironment } from "../emulated/clients.js";
import { type InMemory, inMemory } from "../in-memory.js";
import { type CloudControl, startCloudControl } from "./server.js";

export const REGION = "eu-west-1";

export interface Scripted {
  readonly cloudControl: CloudControl;
  readonly session: InMemory;
  /** What AWS's registry says of a type; without it the registry does not know the type. */
  describe(type: string, schema: JsonObject): void;
  /** A tool call in the region of the account. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as a client reads them
  call(tool: string, args?: Record<string, unknown>): Promise<any>;
  /** Writes as they arrived: operation, client token, document. */
  writes(): { operation: string; token: unknown; params: Readonly<Record<string, unknown>> }[];
  /** Another server process on the same account begins with what this one left in AWS. */
  close(): Promise<void>;
}

/** Everything for one story; the SDK makes one attempt a call, so that calls can be counted. */
export async function startScripted(args: readonly string[] = []): Promise<Scripted> {
  let clock: Clock | undefined;
  let aws: Aws | undefined;
  const types = new Map<string, JsonObject>();
  const cloudControl = await startCloudControl({ region: REGION, now: () => clock?.now().getTime() ?? 0 });
  const others = await answering((body) => {
    const given = new URLSearchParams(body);
    if (given.get("Action") === "GetCallerIdentity") {
      return [
        200,
        "<R><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account></GetCallerIdentityResult></R>",
      ];
    }
    const schema = types.get(given.get("TypeName") ?? "");
    const text = JSON.stringify(schema ?? null)
      .replaceAll("&", "&amp;")
      .replaceAll("<", "&lt;");
    return schema
      ? [200, `<R><DescribeTypeResult><Schema>${text}</Schema></DescribeTypeResult></R>`]
      : [404, "<ErrorResponse><Error><Code>TypeNotFoundException</Code><Message>no</Message></Error></ErrorResponse>"];
  });
  const endpoint = `http://127.0.0.1:${(others.address() as AddressInfo).port}`;
  const env = {
    ...emulatedEnvironment(cloudControl.endpoint, REGION),
    AWS_ENDPOINT_URL_STS: endpoint,
    AWS_ENDPOINT_URL_CLOUDFORMATION: endpoint,
    AWS_MAX_ATTEMPTS: "1",
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const session = await inMemory({
    args: ["--wait-seconds", "60", ...args],
    wrap: (_, ours) => {
      clock = ours;
      aws = createAws({ env: process.env, version: "0.0.0", clock: ours, log: () => {} });
      return aws;
    },
  });
  return {
    cloudControl,
    session,
    describe: (type, schema) => void types.set(type, schema),
    call: (tool, given = {}) => session.call(tool, { region: REGION, ...given }),
    writes: () =>
      cloudControl.calls
        .filter(({ operation }) => /^(Create|Update|Delete|Cancel)/.test(operation))
        .map(({ operation, params }) => ({ operation, token: params.ClientToken, params })),
    async close() {
      await session.close();
      aws?.close();
      others.closeAllConnections();
      others.close();
      await cloudControl.stop();
      vi.unstubAllEnvs();
    },
  };
}

async function answering(answer: (body: string) => readonly [number, string]): Promise<Server> {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const [status, body] = answer(Buffer.concat(parts).toString());
    response.writeHead(status, { "content-type": "text/xml" });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
