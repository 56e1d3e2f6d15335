// What the server says of itself in CloudWatch Logs, on moto: rows, security events and log lines with their metrics; and that
// a CloudWatch that refuses, is away or hangs stops no call.

import {
  CloudWatchLogsClient,
  DescribeLogGroupsCommand,
  DescribeLogStreamsCommand,
  GetLogEventsCommand,
} from "@aws-sdk/client-cloudwatch-logs";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ServerOptions } from "../harness.js";
import { type Product, startProduct } from "./product.js";
import { gate } from "./rules.js";

const product = await startProduct("CloudWatch on moto", import.meta.url);

describe.skipIf(!product)("CloudWatch Logs on moto", () => {
  const { proxy, ledger, calls, moto } = (product ?? {}) as Product;
  const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
  const operator = new CloudWatchLogsClient({ endpoint: moto?.endpoint ?? "", region: "eu-west-1", credentials });
  const GROUP = "/team/mcp";
  const SECRET = "correct-horse-battery-staple";
  const LIMITS = { AWS_DEVOPS_MCP_UNKNOWN_TOOLS: "1" };

  beforeEach(async () => {
    await moto.reset();
    proxy.clear();
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(async () => {
    operator.destroy();
    await product!.close();
  });

  const start = (env: Record<string, string> = {}, options: ServerOptions = {}) =>
    product!.start({
      ...options,
      env: {
        CLOUDWATCH_ENABLED: "true",
        CLOUDWATCH_LOG_GROUP: GROUP,
        AWS_DEVOPS_MCP_LOG_LEVEL: "info",
        ...LIMITS,
        ...env,
      },
    });
  const eventsOf = async (logStreamName: string) => {
    const { events = [] } = await operator.send(new GetLogEventsCommand({ logGroupName: GROUP, logStreamName }));
    return events.map(({ timestamp, message }) => ({ timestamp, ...JSON.parse(message!) }));
  };
  const puts = () => calls("logs", "PutLogEvents");

  it("holds a row a call, each security event and the log, with what CloudWatch counts of them", async () => {
    const assistant = await start({ ENVIRONMENT: "staging", SECURITY_LOG_STREAM: "alerts" });
    await assistant.call("instances_list");
    await assistant.call("instances_get", { instanceId: "i-0123456789abcdef0" });
    await assistant.call("tools_run", { tool: "no_such_tool", arguments: { password: SECRET } });
    await assistant.call("securityGroups_get", { groupId: "sg-1; rm -rf /" });
    await assistant.close();

    const rows = await eventsOf("audit");
    expect(rows.map(({ tool, status, Code, Tool }) => [tool, status, Code, Tool])).toEqual([
      ["instances.list", "success", "none", "instances.list"],
      ["instances.get", "failure", "not_found", "instances.get"],
      // What a caller makes up is no name of a metric.
      ["no_such_tool", "failure", "unknown_tool", "unknown"],
      ["securityGroups.get", "failure", "security_violation", "securityGroups.get"],
    ]);
    for (const row of rows) {
      expect(row).toMatchObject({
        Service: "aws-devops-mcp",
        Environment: "staging",
        Calls: 1,
        host: expect.any(String),
      });
      expect(row.correlationId).toMatch(/^[0-9a-f-]{36}$/);
      const [{ Namespace, Dimensions, Metrics }] = row._aws.CloudWatchMetrics;
      expect(Namespace).toBe("aws-devops-mcp");
      expect(row._aws.Timestamp).toBe(row.timestamp);
      // The format's own rules: every dimension and every metric is a member beside it, of the right type.
      for (const name of Dimensions.flat()) expect(typeof row[name], name).toBe("string");
      for (const { Name, Unit } of Metrics) {
        expect(typeof row[Name], Name).toBe("number");
        expect(["Count", "Milliseconds"]).toContain(Unit);
      }
    }
    expect(rows[1]._aws.CloudWatchMetrics[0].Dimensions).toContainEqual(["Service", "Code", "Environment"]);
    const alerts = await eventsOf("alerts");
    expect(alerts.map(({ Type, severity, SecurityEvents }) => [Type, severity, SecurityEvents])).toEqual([
      ["unknown_tool_attempt", "medium", 1],
      ["injection_attempt", "high", 1],
    ]);
    const lines = await eventsOf("server");
    expect(lines.filter(({ message }) => message === "a security event")).toHaveLength(2);
    const everything = JSON.stringify([rows, alerts, lines]);
    expect(everything).not.toContain(SECRET);
    expect(everything).not.toContain("rm -rf");
  });

  it("is off by itself: nothing is asked of it", async () => {
    const assistant = await product!.start();
    await assistant.call("instances_list");
    await assistant.close();
    expect(calls("logs", "PutLogEvents")).toEqual([]);
    expect((await operator.send(new DescribeLogGroupsCommand({}))).logGroups).toEqual([]);
  });

  it("that refuses is told of once, stops no call, and does not hold the end up", async () => {
    const denied = { status: 400, code: "AccessDeniedException", message: `not for ${SECRET}` };
    proxy.rule({ service: "logs", operation: "PutLogEvents", answer: denied, times: Number.POSITIVE_INFINITY });
    const assistant = await start();
    for (let n = 0; n < 3; n++) expect((await assistant.call("instances_list")).isError).toBe(false);
    await expect.poll(() => assistant.stderr(), { timeout: 20_000 }).toContain("CloudWatch Logs does not take");
    await assistant.close();
    expect(puts().length).toBeGreaterThan(0);
    const told = assistant.stderr().match(/CloudWatch Logs does not take/g);
    expect(told).toHaveLength(1);
    expect(assistant.stderr()).toContain("logs:PutLogEvents");
    expect(assistant.stderr()).not.toContain(SECRET);
  });

  it("that hangs holds no answer up, and the end for a moment only", async () => {
    const never = gate();
    proxy.rule({ service: "logs", hold: never.closed, times: Number.POSITIVE_INFINITY });
    const assistant = await start();
    expect((await assistant.call("instances_list")).isError).toBe(false);
    const from = performance.now();
    await assistant.close();
    expect(performance.now() - from).toBeLessThan(8_000);
    never.open();
  });

  it("whose answer is lost is not sent the same again: what is counted twice is worse than what is missing", async () => {
    const first = await start();
    await first.call("instances_list");
    await first.close();
    proxy.clear();
    proxy.rule({ service: "logs", operation: "PutLogEvents", dropReply: true });
    const assistant = await start({ SECURITY_LOG_STREAM: "alerts" });
    await assistant.call("instances_list");
    await assistant.close();
    const rows = (await eventsOf("audit")).filter(({ tool }) => tool === "instances.list");
    expect(rows).toHaveLength(2);
    const { logStreams = [] } = await operator.send(new DescribeLogStreamsCommand({ logGroupName: GROUP }));
    expect(logStreams.map(({ logStreamName }) => logStreamName)).toContain("audit");
  });
});
