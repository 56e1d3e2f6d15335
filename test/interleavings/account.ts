// One account in this process: EC2 from the sandbox, every other type from the scripted Cloud Control. Each call to AWS is
// shown before it arrives and after it was answered, so that somebody else can act at exactly that moment.

import { apiOf, type RawCall, readOnly, type Transport } from "../../src/aws/api.js";
import { executor, preflight, type WholeApi } from "../../src/aws/executor.js";
import { awsReader } from "../../src/aws/reader.js";
import { costReader } from "../../src/aws/readers/costs.js";
import { priceReader } from "../../src/aws/readers/prices.js";
import { sandboxTransport } from "../../src/aws/sandbox/api.js";
import {
  memoryStore,
  SANDBOX_ACCOUNT,
  SANDBOX_ARN,
  SANDBOX_REGION,
  seed,
  type WorldRegion,
} from "../../src/aws/sandbox/world.js";
import { schemas } from "../../src/aws/schema.js";
import { turns } from "../../src/aws/turns.js";
import type { Aws, Clock } from "../../src/core/ports.js";
import { CloudControlError, exceptions } from "../cloud-control/errors.js";
import { type Account as ControlAccount, perform } from "../cloud-control/operations.js";
import { Requests } from "../cloud-control/requests.js";
import { RuleBook } from "../cloud-control/rules.js";
import { World } from "../cloud-control/world.js";
import { NO_ALIAS, ONE_ACCOUNT } from "../one-account.js";

const PLACE = { account: SANDBOX_ACCOUNT, region: SANDBOX_REGION };

export interface Watcher {
  before(call: RawCall): Promise<void> | void;
  after(call: RawCall): Promise<void> | void;
}

export interface InProcessAccount {
  readonly aws: Aws;
  /** The scripted Cloud Control's resources, past the server. */
  readonly control: World;
  /** The sandbox's EC2, past the server. */
  edit(change: (region: WorldRegion) => void): void;
  readonly ec2: () => WorldRegion;
}

/** What the SDK would throw. */
const asSdkError = (error: CloudControlError): Error =>
  Object.assign(new Error(error.message), {
    name: error.exception,
    $fault: "client",
    $metadata: { httpStatusCode: exceptions[error.exception], requestId: "scripted", attempts: 1 },
  });

/** @param bend changes a call on its way or an answer on its way back: how a broken product is played. */
export function account(watch: Watcher, bend: (transport: Transport) => Transport = (same) => same): InProcessAccount {
  const clock: Clock = {
    now: () => new Date("2026-11-21T10:00:00Z"),
    monotonic: () => 0,
    sleep: async () => {},
  };
  const store = memoryStore(seed(clock.now()));
  const world = () => store.load() as NonNullable<Awaited<ReturnType<typeof store.load>>>;
  const ec2 = sandboxTransport(store, clock);
  const control: ControlAccount = {
    world: new World(PLACE),
    requests: new Requests(() => clock.now().getTime()),
    rules: new RuleBook(),
    polls: 1,
  };

  const scripted: Transport = async ({ operation, input }) => {
    try {
      const { body } = perform(operation as never, input, PLACE, control);
      const event = (body as { ProgressEvent?: { EventTime: number } }).ProgressEvent;
      return event ? { ...body, ProgressEvent: { ...event, EventTime: new Date(event.EventTime * 1000) } } : body;
    } catch (error) {
      throw error instanceof CloudControlError ? asSdkError(error) : error;
    }
  };
  const arrive: Transport = async (call) => {
    await watch.before(call);
    try {
      return await (call.service === "cloudcontrol" ? scripted(call) : ec2(call));
    } finally {
      await watch.after(call);
    }
  };
  const transport = bend(arrive);
  const whole = (region: string): WholeApi =>
    apiOf(transport, { region, log: () => {}, login: async () => "" }) as WholeApi;
  const schema = schemas(clock);
  const identity = { account: SANDBOX_ACCOUNT, arn: SANDBOX_ARN, credentialSource: "test" };

  return {
    control: control.world,
    ec2: () => world().regions[SANDBOX_REGION]!,
    edit(change) {
      const next = structuredClone(world());
      change(next.regions[SANDBOX_REGION]!);
      store.save(next);
    },
    aws: {
      accounts: ONE_ACCOUNT,
      defaultRegion: async () => SANDBOX_REGION,
      reader: async (region) => {
        const api = readOnly(whole(region));
        return awsReader({
          api,
          region,
          identity,
          alias: NO_ALIAS,
          apiIn: (other) => readOnly(whole(other)),
          clock,
          schema: (type) => schema(api, { account: SANDBOX_ACCOUNT, region, type }),
          preflight: (step) => preflight(whole(region), step),
          costs: costReader({ api: () => api, inTurn: turns() }),
          prices: priceReader(() => api),
          trail: async () => ({ events: [], complete: true }),
        });
      },
      writer: (region) => executor(whole(region), clock),
      close: () => {},
    },
  };
}
