// What the scripted deployment services share: time that moves with every change, refusals in AWS's shape, and who did it.

import type { Party } from "./party.js";

export const PLACE = { account: "000000000000", region: "us-east-1" } as const;
export const arn = (service: string, resource: string): string =>
  `arn:aws:${service}:${PLACE.region}:${PLACE.account}:${resource}`;

/** What the SDK throws of an answer of AWS. */
export const refusal = (name: string, message: string, status = 400): Error =>
  Object.assign(new Error(message), {
    name,
    $fault: "client",
    $metadata: { httpStatusCode: status, requestId: "scripted" },
  });

export interface Recorded {
  readonly at: Date;
  readonly source: string;
  readonly name: string;
  readonly resource: string;
  readonly by: Party;
  /** What AWS answered the call, as far as CloudTrail tells it. */
  readonly response: { readonly [member: string]: string } | null;
  readonly request: { readonly [member: string]: string };
}

/** AWS's own clock: it stands still between calls and moves on with each change. */
export class Script {
  readonly trail: Recorded[] = [];
  #time: number;
  /** The clock of whoever looks: AWS's is never behind it. */
  clock: () => Date = () => new Date(0);

  /** @param pace how much of a second passes in one of AWS's: beside a real clock, hardly any */
  constructor(
    start: Date,
    private readonly pace = 1,
  ) {
    this.#time = start.getTime();
  }

  now(): Date {
    return new Date(Math.max(this.#time, this.clock().getTime()));
  }

  pass(seconds: number): void {
    this.#time = this.now().getTime() + seconds * 1_000 * this.pace;
  }

  /** A change: time moves on, and CloudTrail has it. */
  record(
    source: string,
    name: string,
    resource: string,
    by: Party,
    { response = null, request = {} }: Partial<Pick<Recorded, "response" | "request">> = {},
  ): Date {
    this.pass(1);
    const at = this.now();
    this.trail.push({ at, source, name, resource, by, response, request });
    return at;
  }
}

export type Handler = (input: never, by: Party) => object;
export type Handlers = Readonly<Record<string, Handler>>;
