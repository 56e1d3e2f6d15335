// A scripted deployment service on the wire: AWS's JSON protocol, times in seconds since the epoch.

import type { ScriptedAnswer, ScriptedRequest } from "../emulated/scripted-http.js";
import { OURSELVES } from "./party.js";
import type { Handlers } from "./script.js";

const wired = (value: unknown): unknown => {
  if (value instanceof Date) return value.getTime() / 1_000;
  if (Array.isArray(value)) return value.map(wired);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, wired(member)]));
};

export const overHttp =
  (handlers: Handlers) =>
  ({ headers, body }: ScriptedRequest): ScriptedAnswer => {
    const operation = String(headers["x-amz-target"]).split(".").at(-1)!;
    try {
      const handler = handlers[operation];
      if (!handler) throw Object.assign(new Error(`no ${operation} in the script`), { name: "InvalidAction" });
      return { status: 200, body: JSON.stringify(wired(handler(JSON.parse(body || "{}") as never, OURSELVES))) };
    } catch (error) {
      const { name, message } = error as Error;
      return { status: 400, body: JSON.stringify({ __type: name, message }) };
    }
  };
