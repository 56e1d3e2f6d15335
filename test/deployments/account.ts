// An account with the three scripted deployment services, in this process: the product's own readers and writer on it.

import { apiOf, type RawCall, readOnly, type Transport } from "../../src/aws/api.js";
import { executor, preflight, type WholeApi } from "../../src/aws/executor.js";
import { awsReader } from "../../src/aws/reader.js";
import { costReader } from "../../src/aws/readers/costs.js";
import { priceReader } from "../../src/aws/readers/prices.js";
import { schemas } from "../../src/aws/schema.js";
import { turns } from "../../src/aws/turns.js";
import type { Aws, Clock } from "../../src/core/ports.js";
import type { TrailEvent, TrailPage, TrailQuery } from "../../src/core/trail.js";
import { NO_ALIAS, ONE_ACCOUNT } from "../one-account.js";
import { ScriptedCodeDeploy } from "./codedeploy.js";
import { ScriptedEcs } from "./ecs.js";
import { OURSELVES } from "./party.js";
import { ScriptedRefreshes } from "./refresh.js";
import { type Handlers, PLACE, refusal, Script } from "./script.js";

/** Some hours before the time of the in-memory server. */
export const START = new Date("2026-11-21T07:00:00Z");

export class DeploymentAccount {
  readonly script: Script;
  readonly ecs: ScriptedEcs;
  readonly codedeploy: ScriptedCodeDeploy;
  readonly refreshes: ScriptedRefreshes;
  /** Every call that arrived, by service and operation. */
  readonly calls: RawCall[] = [];
  /** Operations that are answered with a refusal, until they are taken out again. */
  readonly denied = new Set<string>();
  /** Operations that act and whose answer is lost, each once. */
  readonly lost = new Set<string>();
  /** Runs right before a call of this operation arrives, once. */
  readonly before = new Map<string, () => void>();

  constructor(start: Date = START) {
    this.script = new Script(start);
    this.ecs = new ScriptedEcs(this.script);
    this.codedeploy = new ScriptedCodeDeploy(this.script);
    this.refreshes = new ScriptedRefreshes(this.script);
  }

  private handlersOf(service: string): Handlers {
    if (service === "ecs") return this.ecs.handlers;
    return service === "codedeploy" ? this.codedeploy.handlers : this.refreshes.handlers;
  }

  readonly transport: Transport = async (call) => {
    const { service, operation, input } = call;
    const name = `${service}:${operation}`;
    this.calls.push(call);
    const run = this.before.get(name);
    this.before.delete(name);
    run?.();
    if (this.denied.has(name) || service === "cloudformation")
      throw refusal("AccessDeniedException", `User is not authorized to perform: ${name}`);
    const handler = this.handlersOf(service)[operation];
    if (!handler) throw new Error(`the script has no ${name}`);
    const output = handler(structuredClone(input) as never, OURSELVES);
    if (this.lost.delete(name)) throw Object.assign(new Error("socket hang up"), { name: "Error", code: "ECONNRESET" });
    return { ...structuredClone(output), $metadata: { requestId: `request-${this.calls.length}` } };
  };

  writes(operation: string): readonly RawCall[] {
    return this.calls.filter((call) => call.operation === operation);
  }

  /** CloudTrail, without its lateness. */
  readonly trail = async ({ name, from, to }: TrailQuery): Promise<TrailPage> => ({
    complete: true,
    events: this.script.trail
      .filter((one) => one.resource === name && one.at.toISOString() >= from && one.at.toISOString() <= to)
      .map(
        (one, index): TrailEvent => ({
          eventId: `event-${index}`,
          at: one.at.toISOString(),
          source: one.source,
          name: one.name,
          readOnly: false,
          failed: false,
          arn: one.by.arn,
          principal: one.by.arn,
          userAgent: one.by.agent,
          resources: [{ name: one.resource }],
          request: { service: one.resource, ...one.request },
          response: one.response,
        }),
      )
      .reverse(),
  });

  aws(clock: Clock): Aws {
    this.script.clock = () => clock.now();
    const whole = (region: string): WholeApi =>
      apiOf(this.transport, { region, log: () => {}, login: async () => "" }) as WholeApi;
    const schema = schemas(clock);
    return {
      accounts: ONE_ACCOUNT,
      defaultRegion: async () => PLACE.region,
      reader: async (region) => {
        const api = readOnly(whole(region));
        return awsReader({
          api,
          region,
          identity: { account: PLACE.account, arn: OURSELVES.arn, credentialSource: "test" },
          schema: (type) => schema(api, { account: PLACE.account, region, type }),
          preflight: (step) => preflight(whole(region), step),
          trail: this.trail,
          alias: NO_ALIAS,
          apiIn: (other) => readOnly(whole(other)),
          clock,
          costs: costReader({ api: () => api, inTurn: turns() }),
          prices: priceReader(() => api),
        });
      },
      writer: (region) => executor(whole(region), clock),
      close: () => {},
    };
  }
}
