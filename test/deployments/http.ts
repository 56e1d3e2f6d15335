// The scripted deployment services on the wire: AWS's JSON protocol with times in seconds since the epoch, and its query
// protocol with answers in XML.

import { type ScriptedAnswer, type ScriptedRequest, startScriptedHttp } from "../emulated/scripted-http.js";
import { ScriptedCodeDeploy } from "./codedeploy.js";
import { ScriptedEcs } from "./ecs.js";
import { OURSELVES } from "./party.js";
import { ScriptedRefreshes } from "./refresh.js";
import { type Handlers, PLACE, Script } from "./script.js";

const wired = (value: unknown): unknown => {
  if (value instanceof Date) return value.getTime() / 1_000;
  if (Array.isArray(value)) return value.map(wired);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, wired(member)]));
};

/** The scripts know one account and region; on the wire they are those of the emulator beside them. */
const [HERE, THERE] = [`${PLACE.region}:${PLACE.account}`, "eu-west-1:123456789012"] as const;

export const overHttp =
  (handlers: Handlers) =>
  ({ headers, body }: ScriptedRequest): ScriptedAnswer => {
    const operation = String(headers["x-amz-target"]).split(".").at(-1)!;
    try {
      const handler = handlers[operation];
      if (!handler) throw Object.assign(new Error(`no ${operation} in the script`), { name: "InvalidAction" });
      const answer = handler(JSON.parse(body.replaceAll(THERE, HERE) || "{}") as never, OURSELVES);
      return { status: 200, body: JSON.stringify(wired(answer)).replaceAll(HERE, THERE) };
    } catch (error) {
      const { name, message } = error as Error;
      return { status: 400, body: JSON.stringify({ __type: name, message }) };
    }
  };

/** `{ "A.B": "1", "C.member.1": "x" }` → `{ A: { B: "1" }, C: ["x"] }`. */
function nested(body: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [path, value] of new URLSearchParams(body)) {
    const parts = path.split(".").filter((part) => part !== "member");
    let at = found;
    for (const [index, part] of parts.entries()) {
      const next = parts[index + 1];
      if (next === undefined) at[part] = value;
      else {
        at[part] ??= /^\d+$/.test(next) ? [] : {};
        at = at[part] as Record<string, unknown>;
      }
      // AWS counts from one.
      if (next !== undefined && /^\d+$/.test(next)) parts[index + 1] = String(Number(next) - 1);
    }
  }
  return found;
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
function xml(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((one) => `<member>${xml(one)}</member>`).join("");
  if (typeof value !== "object" || value === null) return escaped(String(value));
  return Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `<${key}>${xml(member)}</${key}>`)
    .join("");
}

export const overQuery =
  (handlers: Handlers) =>
  ({ body }: ScriptedRequest): ScriptedAnswer => {
    const { Action: operation, Version: _, ...input } = nested(body) as { Action: string; Version: string };
    const headers = { "content-type": "text/xml" };
    try {
      const handler = handlers[operation];
      if (!handler) throw Object.assign(new Error(`no ${operation} in the script`), { name: "InvalidAction" });
      const result = xml(handler(input as never, OURSELVES));
      return {
        status: 200,
        headers,
        body: `<${operation}Response><${operation}Result>${result}</${operation}Result></${operation}Response>`,
      };
    } catch (error) {
      const { name, message } = error as Error;
      const told = `<Type>Sender</Type><Code>${name}</Code><Message>${escaped(message)}</Message>`;
      return { status: 400, headers, body: `<ErrorResponse><Error>${told}</Error></ErrorResponse>` };
    }
  };

/** The three of them, each with its endpoint by the name requests are signed for. */
export async function deploymentsOverHttp() {
  /** The server is a process of its own, with this machine's time; AWS's is never behind it, and each service has its own. */
  const script = (): Script => {
    const made = new Script(new Date("2026-01-05T08:00:00Z"), 0.001);
    made.clock = () => new Date();
    return made;
  };
  const scripts = [script(), script(), script()] as const;
  const ecs = new ScriptedEcs(scripts[0]);
  const codedeploy = new ScriptedCodeDeploy(scripts[1]);
  const refreshes = new ScriptedRefreshes(scripts[2]);
  const [ecsHttp, codedeployHttp, autoscalingHttp] = await Promise.all([
    startScriptedHttp(overHttp(ecs.handlers)),
    startScriptedHttp(overHttp(codedeploy.handlers)),
    startScriptedHttp(overQuery(refreshes.handlers)),
  ]);
  return {
    ecs,
    codedeploy,
    refreshes,
    /** Every change so far, whoever made it. */
    recorded: () => scripts.flatMap(({ trail }) => trail),
    routes: { ecs: ecsHttp.endpoint, codedeploy: codedeployHttp.endpoint, autoscaling: autoscalingHttp.endpoint },
    stop: () => Promise.all([ecsHttp.stop(), codedeployHttp.stop(), autoscalingHttp.stop()]),
  };
}
