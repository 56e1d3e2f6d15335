// Lists at size, through a real server process: 2,500 instances, 1,200 security group rules, 300 databases behind a scripted
// EC2 and RDS that answer at once. Prints calls to AWS, time, resident memory and what each answer costs a model.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { arch, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const GROUPS = 24;
const RULES_EACH = 50;
const ids = (prefix, count) => Array.from({ length: count }, (_, n) => `${prefix}${String(n + 1).padStart(9, "0")}`);
const INSTANCES = ids("i-0aa00000", 2_500);
const SECURITY_GROUPS = ids("sg-0bb00000", GROUPS);
const DATABASES = ids("shop-", 300);
/** One answer without further wishes, by our own target. */
const MOST_TOKENS = 5_000;

const tags = (name, item = "item") =>
  `<${item}><key>Name</key><value>${name}</value></${item}><${item}><key>team</key><value>shop</value></${item}>`;
const instance = (id) =>
  `<item><instancesSet><item><instanceId>${id}</instanceId><imageId>ami-0123456789abcdef0</imageId><instanceState><code>16</code><name>running</name></instanceState><instanceType>t3.micro</instanceType><launchTime>2026-11-01T00:00:00.000Z</launchTime><placement><availabilityZone>eu-west-1a</availabilityZone></placement><subnetId>subnet-0123456789abcdef0</subnetId><vpcId>vpc-0123456789abcdef0</vpcId><privateIpAddress>10.0.1.2</privateIpAddress><groupSet><item><groupId>${SECURITY_GROUPS[0]}</groupId><groupName>web</groupName></item></groupSet><tagSet>${tags("api")}</tagSet></item></instancesSet></item>`;
const group = (id) =>
  `<item><groupId>${id}</groupId><groupName>web</groupName><groupDescription>web servers</groupDescription><vpcId>vpc-0123456789abcdef0</vpcId><tagSet>${tags("web")}</tagSet></item>`;
const rulesOf = (id) =>
  Array.from(
    { length: RULES_EACH },
    (_, n) =>
      `<item><securityGroupRuleId>sgr-${id.slice(-9)}${String(n).padStart(8, "0")}</securityGroupRuleId><groupId>${id}</groupId><isEgress>false</isEgress><ipProtocol>tcp</ipProtocol><fromPort>443</fromPort><toPort>443</toPort><cidrIpv4>10.${n}.0.0/16</cidrIpv4><description>partner ${n}</description></item>`,
  );
const database = (id) =>
  `<DBInstance><DBInstanceIdentifier>${id}</DBInstanceIdentifier><DBInstanceArn>arn:aws:rds:eu-west-1:123456789012:db:${id}</DBInstanceArn><DBInstanceClass>db.r6g.large</DBInstanceClass><Engine>postgres</Engine><EngineVersion>15.4</EngineVersion><DBInstanceStatus>available</DBInstanceStatus><AllocatedStorage>100</AllocatedStorage><MultiAZ>true</MultiAZ><BackupRetentionPeriod>7</BackupRetentionPeriod><StorageEncrypted>true</StorageEncrypted><DeletionProtection>false</DeletionProtection><PendingModifiedValues><DBInstanceClass>db.r6g.xlarge</DBInstanceClass></PendingModifiedValues></DBInstance>`;

/** One page of a list, and the token of the next. */
function paged(all, size, token, tag) {
  const from = Number(token ?? 0);
  const next = from + size < all.length ? `<${tag}>${from + size}</${tag}>` : "";
  return { page: all.slice(from, from + size), next };
}

const filtered = (params, name) => {
  const at = Object.keys(params).find((key) => /^Filter\.\d+\.Name$/.test(key) && params[key] === name);
  if (!at) return undefined;
  const prefix = at.replace(/Name$/, "Value.");
  return Object.entries(params).flatMap(([key, value]) => (key.startsWith(prefix) ? [value] : []));
};

const ANSWERS = {
  GetCallerIdentity: () =>
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><Account>123456789012</Account><UserId>me</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>",
  DescribeInstances(params) {
    const asked = filtered(params, "instance-id");
    const all = asked ? INSTANCES.filter((id) => asked.includes(id)) : INSTANCES;
    const { page, next } = paged(all, Number(params.MaxResults ?? 1_000), params.NextToken, "nextToken");
    return `<DescribeInstancesResponse><reservationSet>${page.map(instance).join("")}</reservationSet>${next}</DescribeInstancesResponse>`;
  },
  DescribeSecurityGroups(params) {
    const asked = params["GroupId.1"] ? [params["GroupId.1"]] : SECURITY_GROUPS;
    const named = filtered(params, "ip-permission.group-id") ?? filtered(params, "egress.ip-permission.group-id");
    const { page, next } = paged(named ? [] : asked, Number(params.MaxResults ?? 1_000), params.NextToken, "nextToken");
    return `<DescribeSecurityGroupsResponse><securityGroupInfo>${page.map(group).join("")}</securityGroupInfo>${next}</DescribeSecurityGroupsResponse>`;
  },
  DescribeSecurityGroupRules(params) {
    const all = (filtered(params, "group-id") ?? SECURITY_GROUPS).flatMap(rulesOf);
    const { page, next } = paged(all, Number(params.MaxResults ?? 1_000), params.NextToken, "nextToken");
    return `<DescribeSecurityGroupRulesResponse><securityGroupRuleSet>${page.join("")}</securityGroupRuleSet>${next}</DescribeSecurityGroupRulesResponse>`;
  },
  DescribeDBInstances(params) {
    const { page, next } = paged(DATABASES, Number(params.MaxRecords ?? 100), params.Marker, "Marker");
    return `<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances>${page.map(database).join("")}</DBInstances>${next}</DescribeDBInstancesResult></DescribeDBInstancesResponse>`;
  },
};

const calls = [];
const aws = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { Action = "unknown", ...params } = Object.fromEntries(new URLSearchParams(body));
  calls.push(Action);
  // What a list asks beside these is empty here: groups of instances, target groups, clusters, maintenance.
  const empty = `<${Action}Response><${Action}Result></${Action}Result></${Action}Response>`;
  response.writeHead(200, { "content-type": "text/xml" }).end(ANSWERS[Action]?.(params) ?? empty);
});
await new Promise((resolve) => aws.listen(0, "127.0.0.1", resolve));

const transport = new StdioClientTransport({
  command: process.execPath,
  args: [CLI, "--state", `/tmp/bench-lists-${process.pid}`, "--revalidate", "off"],
  stderr: "ignore",
  env: {
    ...{ PATH: process.env.PATH, HOME: "/nonexistent", AWS_REGION: "eu-west-1" },
    ...{ AWS_ENDPOINT_URL: `http://127.0.0.1:${aws.address().port}`, AWS_EC2_METADATA_DISABLED: "true" },
    ...{ AWS_ACCESS_KEY_ID: "AKIAEMULATED", AWS_SECRET_ACCESS_KEY: "emulated" },
    ...{ AWS_CONFIG_FILE: "/dev/null", AWS_SHARED_CREDENTIALS_FILE: "/dev/null" },
    // 2,500 instances are more pages than a session has calls an hour.
    ...{ AWS_DEVOPS_MCP_CALLS_PER_HOUR: "0", AWS_DEVOPS_MCP_IDENTICAL_CALLS: "0", AWS_DEVOPS_MCP_AUDIT_DB: "off" },
  },
});
const client = new Client({ name: "bench", version: "1" });
await client.connect(transport);

const resident = () => {
  const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${transport.pid}/status`, "utf8"));
  return Math.round(Number(found?.[1] ?? 0) / 1024);
};

async function call(tool, args) {
  const { content, structuredContent, isError } = await client.callTool({ name: tool, arguments: args });
  if (isError) throw new Error(`${tool}: ${content[0].text.slice(0, 500)}`);
  return { data: structuredContent, tokens: countTokens(content[0].text) };
}

/** Every page of a tool's answer: what it showed, in order, and what it took. */
async function whole(tool, args, rowsOf) {
  const start = performance.now();
  const before = calls.length;
  const rows = [];
  const tokens = [];
  let cursor;
  do {
    const answer = await call(tool, { ...args, ...(cursor && { cursor }) });
    rows.push(...rowsOf(answer.data));
    tokens.push(answer.tokens);
    cursor = answer.data.nextCursor;
  } while (cursor);
  return { rows, tokens, ms: performance.now() - start, calls: calls.slice(before) };
}

const tally = (names) =>
  [...new Set(names)].map((name) => `${names.filter((one) => one === name).length} ${name}`).join(", ");
const out = (text) => process.stdout.write(`${text}\n`);

function told(name, expected, { rows, tokens, ms, calls: made }) {
  const inOrder = rows.length === expected.length && rows.every((row, at) => row === expected[at]);
  const most = Math.max(...tokens);
  out(`${name}: ${rows.length} of ${expected.length} rows${inOrder ? ", complete and in order" : ", NOT COMPLETE"}`);
  out(`  ${tokens.length} answers, ${tokens[0]} tokens the first, ${most} the largest (target ${MOST_TOKENS})`);
  out(`  ${Math.round(ms)} ms, ${resident()} MB resident, ${made.length} calls: ${tally(made)}`);
  if (!inOrder || most > MOST_TOKENS) process.exitCode = 1;
}

try {
  await call("session_whoami", {});
  out(
    `node ${process.version}, ${arch()}, ${cpus()[0]?.model ?? "unknown"}; server at ${resident()} MB before the first list`,
  );
  told(
    "instances_list",
    INSTANCES,
    await whole("instances_list", {}, (data) => data.instances.map((row) => row.instanceId)),
  );
  told(
    "securityGroups_list",
    SECURITY_GROUPS,
    await whole("securityGroups_list", {}, (data) => data.securityGroups.map((row) => row.groupId)),
  );
  const rules = SECURITY_GROUPS.flatMap((id) => rulesOf(id).map((text) => /sgr-\d+/.exec(text)[0]));
  const found = { rows: [], tokens: [], ms: 0, calls: [] };
  for (const groupId of SECURITY_GROUPS) {
    const one = await whole("securityGroups_get", { groupId }, (data) =>
      data.securityGroup.rules.map((rule) => rule.ruleId),
    );
    for (const key of ["rows", "tokens", "calls"]) found[key].push(...one[key]);
    found.ms += one.ms;
  }
  told(`securityGroups_get, ${GROUPS} groups`, rules, found);
  told(
    "databases_list",
    DATABASES,
    await whole("databases_list", {}, (data) => data.databases.map((row) => row.databaseId)),
  );
} finally {
  await client.close();
  aws.closeAllConnections();
  aws.close();
}
