// A scripted AWS that outlives every crash: one create per client token, and a count of what was asked of it.

import type { ChangeStep } from "../../src/core/change.js";
import { OpsError } from "../../src/core/errors.js";
import { type JsonObject, sameJson } from "../../src/core/json.js";
import type { Aws, AwsReader, AwsWriter } from "../../src/core/ports.js";
import { ONE_ACCOUNT } from "../one-account.js";

export const ACCOUNT = "123456789012";
export const REGION = "eu-west-1";

interface Made {
  readonly type: string;
  readonly id: string;
  readonly content: JsonObject;
}

interface Request {
  readonly requestToken: string;
  readonly identifier: string;
  readonly refused?: string;
}

export class ScriptedAws {
  private made = new Map<string, Made>();
  /** By client token: what the first call with it was answered. */
  private requests = new Map<string, Request>();
  private count = 0;
  /** The client token of every write that arrived, in order. */
  writes: string[] = [];
  beforeCall: (call: string) => void = () => {};

  /** @param honoursTokens false: AWS takes every call for a new one, as if no client token had been sent */
  constructor(readonly honoursTokens = true) {}

  clone(): ScriptedAws {
    const copy = new ScriptedAws(this.honoursTokens);
    copy.made = new Map(this.made);
    copy.requests = new Map(this.requests);
    copy.count = this.count;
    copy.writes = [...this.writes];
    return copy;
  }

  get resources(): readonly Made[] {
    return [...this.made.values()];
  }

  image(): string {
    return JSON.stringify([this.resources, this.writes]);
  }

  /** What somebody did in the console. */
  outside(type: string, id: string, content: JsonObject | null): void {
    if (content === null) this.made.delete(`${type}/${id}`);
    else this.made.set(`${type}/${id}`, { type, id, content });
  }

  content(type: string, id: string): JsonObject | null {
    return this.made.get(`${type}/${id}`)?.content ?? null;
  }

  send(step: ChangeStep, clientToken: string): Request {
    this.beforeCall(`${step.operation} ${step.ref.type}`);
    this.writes.push(clientToken);
    const known = this.honoursTokens ? this.requests.get(clientToken) : undefined;
    if (known) return known;
    const number = ++this.count;
    const { type } = step.ref;
    const refused = typeof step.input.refused === "string" ? step.input.refused : undefined;
    const identifier = step.kind === "create" ? `made-${number}` : step.ref.id;
    const request = { requestToken: `request-${number}`, identifier, ...(refused !== undefined && { refused }) };
    this.requests.set(clientToken, request);
    if (refused !== undefined) return request;
    if (step.kind === "delete") this.made.delete(`${type}/${identifier}`);
    else this.made.set(`${type}/${identifier}`, { type, id: identifier, content: step.after! });
    return request;
  }

  poll(requestToken: string): Request {
    this.beforeCall(`poll ${requestToken}`);
    const found = [...this.requests.values()].find((one) => one.requestToken === requestToken);
    if (!found) throw new OpsError("not_found", "AWS knows no such request.");
    return found;
  }

  /** The port the gate works with. No call of it can be recognised by a mark: client tokens have to do it alone. */
  port(): Aws {
    const writer: AwsWriter = {
      idempotency: (step) => (step.service === "cloudcontrol" ? "token" : "natural"),
      send: async (step, { clientToken }) => {
        const { requestToken, identifier, refused } = this.send(step, clientToken);
        if (step.service === "cloudcontrol") return { requestToken, identifiers: [] };
        if (refused !== undefined)
          throw new OpsError("aws_failed", "AWS refused it.", { details: { awsCode: refused } });
        return { identifiers: [identifier] };
      },
      poll: async (_, requestToken) => {
        const { identifier, refused } = this.poll(requestToken ?? "");
        return refused === undefined
          ? { status: "succeeded", identifier }
          : { status: "failed", code: "aws_failed", awsCode: refused, message: "refused" };
      },
      follows: () => false,
      followedHours: () => 24,
      stopping: async () => null,
      find: async () => null,
      batch: () => 1,
      sendTogether: async () => {
        throw new OpsError("unsupported", "The scripted AWS takes one step at a time.");
      },
      atWork: async () => false,
    };
    return {
      accounts: ONE_ACCOUNT,
      defaultRegion: async () => REGION,
      reader: async () => this.reader(),
      writer: () => writer,
      close: () => {},
    };
  }

  reader(): AwsReader {
    const unused = async (): Promise<never> => {
      throw new OpsError("unsupported", "The scripted AWS does not answer this.");
    };
    return {
      account: ACCOUNT,
      region: REGION,
      identity: { account: ACCOUNT, arn: `arn:aws:iam::${ACCOUNT}:user/alice`, credentialSource: "script" },
      get: unused,
      list: unused,
      regions: unused,
      instances: { dependants: unused, health: unused, types: unused },
      scaling: { groups: unused, activities: unused, recent: unused },
      balancing: { listeners: unused, targetGroups: unused, health: unused },
      groupUsers: unused,
      groupReferences: unused,
      costs: { spend: unused, forecast: unused, anomalies: unused, monitors: unused },
      prices: { products: unused },
      tagged: { vpcName: unused, scan: unused, get: unused, content: unused },
      tagPolicies: { effective: unused, list: unused, get: unused },
      databases: { maintenance: unused },
      deployments: {
        find: unused,
        targets: unused,
        history: unused,
        groupOf: unused,
        startedBy: unused,
        template: unused,
        templateVersion: unused,
      },
      resource: unused,
      resources: unused,
      schema: unused,
      content: async ({ type, id }) => this.content(type, id),
      trail: unused,
      preflight: async () => {},
    };
  }

  /** Resources that were made more than once: one wish, two ids. */
  duplicates(): number {
    const wishes = new Set(this.resources.map(({ type, content }) => `${type} ${content.Name}`));
    return this.made.size - wishes.size;
  }

  holds(type: string, id: string, content: JsonObject): boolean {
    const found = this.content(type, id);
    return found !== null && sameJson(found, content);
  }
}
