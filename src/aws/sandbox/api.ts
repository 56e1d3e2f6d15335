// The sandbox as a transport: one call is one pure step of the world. What it does not know it refuses by name.

import { OpsError } from "../../core/errors.js";
import type { Clock, Log } from "../../core/ports.js";
import { apiOf, type RawCall, type Transport } from "../api.js";
import type { WholeApi } from "../executor.js";
import { type AnyHandler, control, settleRequests } from "./control.js";
import { type Draft, type Handler, notInSandbox, refusal } from "./draft.js";
import { ec2 } from "./ec2.js";
import { OURSELVES, type Party, recordCall, trail } from "./trail.js";
import {
  emptyRegion,
  SANDBOX_ACCOUNT,
  SANDBOX_ARN,
  SANDBOX_REGION,
  seed,
  type World,
  type WorldStore,
} from "./world.js";

const sts: Readonly<Record<string, Handler<object, object>>> = {
  "sts:GetCallerIdentity": {
    takes: "",
    run: () => ({ Account: SANDBOX_ACCOUNT, Arn: SANDBOX_ARN, UserId: "AIDASANDBOX" }),
  },
};

const HANDLERS = { ...ec2, ...control, ...sts, ...trail } as unknown as Readonly<
  Record<string, AnyHandler | undefined>
>;

type Call = Pick<RawCall, "service" | "operation" | "region" | "input"> & {
  /** Who calls, and when by a clock outside; absent: the server itself, at the world's own time. */
  readonly by?: Party;
  readonly at?: Date;
};
export type Stepped = { readonly world: World } & ({ readonly output: object } | { readonly error: unknown });

/**
 * Pure: a call on a world gives the next world and an answer, or an error and a world in which only time has passed. A
 * dry run does everything and keeps nothing.
 */
export function stepWorld(world: World, { service, operation, region, input, by = OURSELVES, at }: Call): Stepped {
  if (world.format !== 1) {
    return {
      world,
      error: new OpsError("internal", "The sandbox's world was made by another version; remove its file."),
    };
  }
  const draftOf = (from: World): Draft => {
    const next = structuredClone(from);
    next.regions[region] ??= emptyRegion();
    const now = new Date(Date.parse(next.startedAt) + next.tick * 1000);
    return { world: next, region, here: next.regions[region], now };
  };
  const passed = draftOf({ ...world, tick: world.tick + 1 });
  settleRequests(passed);
  const draft = draftOf(passed.world);
  try {
    const name = `${service}:${operation}`;
    const handler = Object.hasOwn(HANDLERS, name) ? HANDLERS[name] : undefined;
    if (!handler) throw notInSandbox(name);
    const { DryRun, ...rest } = input as Readonly<Record<string, unknown>>;
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    const foreign = Object.keys(given).find((key) => !handler.takes.split(" ").includes(key));
    if (foreign !== undefined) throw notInSandbox(`${name} with ${foreign}`);
    const output = handler.run(draft, given);
    if (DryRun === true) {
      throw refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412);
    }
    recordCall(draft, { service, operation, input: given }, output, { by, at: at ?? draft.now });
    return { world: draft.world, output };
  } catch (error) {
    return { world: passed.world, error };
  }
}

export function sandboxTransport(store: WorldStore, clock: Clock, by?: Party): Transport {
  let last: Promise<unknown> = Promise.resolve();
  async function step(call: RawCall): Promise<unknown> {
    const world = (await store.load()) ?? seed(clock.now());
    if (world.format !== 1)
      throw new OpsError("internal", "The sandbox's world was made by another version; remove it.");
    const stepped = stepWorld(world, { ...call, at: clock.now(), ...(by && { by }) });
    await store.save(stepped.world);
    if ("error" in stepped) throw stepped.error;
    return { ...stepped.output, $metadata: { requestId: `sandbox-${stepped.world.tick}` } };
  }
  return (call) => {
    const turn = last.then(
      () => step(call),
      () => step(call),
    );
    last = turn;
    return turn;
  };
}

/** The sandbox's API with its writes, for whoever plays the outsider in the demo and in tests. */
export function sandboxApi(
  store: WorldStore,
  clock: Clock,
  log: Log = () => {},
  region = SANDBOX_REGION,
  by?: Party,
): WholeApi {
  const login = () => Promise.resolve("");
  return apiOf(sandboxTransport(store, clock, by), { region, login, log }) as WholeApi;
}
