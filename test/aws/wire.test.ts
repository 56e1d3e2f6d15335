// The real SDK clients against a server on loopback that answers what we tell it: retries, lost answers, user agent,
// endpoints by environment, renewed credentials, and that nothing is loaded before it is needed.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createAws } from "../../src/aws/index.js";
import type { Aws } from "../../src/core/ports.js";
import { allow, clock, codeOf, failure, log, op } from "./support.js";

type Answer = (request: { body: string; headers: IncomingMessage["headers"] }, response: ServerResponse) => void;

const xml =
  (status: number, body: string): Answer =>
  (_, response) =>
    response.writeHead(status, { "content-type": "text/xml", "x-amzn-requestid": "r-1" }).end(body);
const ec2Error = (status: number, code: string): Answer =>
  xml(status, `<Response><Errors><Error><Code>${code}</Code><Message>m</Message></Error></Errors></Response>`);
const ok = (operation: string): Answer =>
  xml(200, `<${operation}Response><return>true</return></${operation}Response>`);
const reset: Answer = (_, response) => response.socket?.resetAndDestroy();
const html: Answer = (_, response) =>
  response.writeHead(500, { "content-type": "text/html" }).end("<!doctype html><title>500</title>");
const identity = xml(
  200,
  "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/me</Arn><UserId>u</UserId>" +
    "<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
);

let server: Server;
let script: Answer[] = [];
let seen: { body: string; headers: IncomingMessage["headers"] }[] = [];
let aws: Aws;

const build = (): Aws => createAws({ env: process.env, version: "9.9.9", clock, log });

beforeEach(async () => {
  script = [];
  seen = [];
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const one = { body, headers: request.headers };
      seen.push(one);
      (script.shift() ?? reset)(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const env = {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "AKIAONE",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_REGION: "us-east-1",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_EC2_METADATA_DISABLED: "true",
  };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  aws = build();
});
afterEach(() => {
  aws.close();
  server.closeAllConnections();
  server.close();
  vi.unstubAllEnvs();
});

const operations = () => seen.map(({ body }) => /Action=(\w+)/.exec(body)?.[1]);
const send = () => aws.writer("us-east-1").send(allow(22, "10.0.0.0/8"), op("op-1"));

describe("a write over the wire", () => {
  it("bears our name and AWS's request id comes back", async () => {
    script = [ok("AuthorizeSecurityGroupIngress")];
    expect((await send()).awsRequestId).toBe("r-1");
    expect(seen[0]?.headers["user-agent"]).toContain("aws-devops-mcp/9.9.9");
  });
  it("an answer lost is an unknown outcome, and the write is not sent again: what it did is looked for first", async () => {
    script = [reset, ec2Error(400, "InvalidPermission.Duplicate")];
    expect(await codeOf(send())).toBe("outcome_unknown");
    expect(operations()).toEqual(["AuthorizeSecurityGroupIngress"]);
  });
  it("an answer lost after a throttle is one too", async () => {
    script = [ec2Error(503, "RequestLimitExceeded"), reset, ok("AuthorizeSecurityGroupIngress")];
    expect(await codeOf(send())).toBe("outcome_unknown");
    expect(operations()).toHaveLength(2);
  });
  it("a throttle and then a refusal is a refusal", async () => {
    script = [ec2Error(503, "RequestLimitExceeded"), ec2Error(400, "InvalidPermission.Duplicate")];
    expect(await codeOf(send())).toBe("rule_exists");
  });
  it.each([
    ["resets", reset],
    ["HTML pages", html],
    ["5xx", ec2Error(500, "InternalError")],
  ])("nothing but %s is an unknown outcome", async (_, answer) => {
    script = Array.from({ length: 9 }, () => answer);
    expect(await codeOf(send())).toBe("outcome_unknown");
    expect(seen).toHaveLength(1);
  });
  it("garbage under status 200 is an unknown outcome", async () => {
    script = [xml(200, "<html><title>captive portal</html>")];
    expect(await codeOf(send())).toBe("outcome_unknown");
  });
  it("nobody listening is certain: nothing was sent", async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    expect(await codeOf(send())).toBe("aws_unavailable");
  });
  it("cancelled while waiting for the answer is an unknown outcome", async () => {
    const abort = new AbortController();
    script = [() => abort.abort()];
    const sent = aws.writer("us-east-1").send(allow(22, "10.0.0.0/8"), op("op-1"), abort.signal);
    expect(await codeOf(sent)).toBe("outcome_unknown");
  });
});

describe("a read over the wire", () => {
  it("is sent again when its answer is lost, and so is a dry run", async () => {
    script = [identity, reset, ec2Error(400, "InvalidInstanceID.NotFound")];
    const reader = await aws.reader("us-east-1");
    expect(await reader.get("AWS::EC2::Instance", "i-0123456789abcdef0")).toBeNull();
    script = [reset, ec2Error(412, "DryRunOperation")];
    await reader.preflight(allow(22, "10.0.0.0/8"));
    expect(seen).toHaveLength(5);
  });
  it("asks who it is once, and a repeated HTML page is AWS's absence, never the resource's", async () => {
    script = [identity, html, html, html, html];
    const reader = await aws.reader("us-east-1");
    expect(reader.identity).toMatchObject({ account: "123456789012", credentialSource: "environment variables" });
    expect(await codeOf(reader.get("AWS::EC2::Instance", "i-0123456789abcdef0"))).toBe("aws_unavailable");
    await aws.reader("eu-west-1");
    expect(operations().filter((name) => name === "GetCallerIdentity")).toHaveLength(1);
  });
  it("AWS's own code for absence is null", async () => {
    script = [identity, ec2Error(400, "InvalidInstanceID.NotFound")];
    expect(await (await aws.reader("us-east-1")).get("AWS::EC2::Instance", "i-0123456789abcdef0")).toBeNull();
  });
  it("a proxy's 404 page is not", async () => {
    script = [identity, xml(404, "<html><body>Not Found</body></html>")];
    const reader = await aws.reader("us-east-1");
    expect(await codeOf(reader.get("AWS::EC2::Instance", "i-0123456789abcdef0"))).not.toBe("not_found");
  });
});

describe("credentials", () => {
  it("expired ones are forgotten, and new ones taken without a restart", async () => {
    script = [identity, ec2Error(400, "RequestExpired"), identity];
    const reader = await aws.reader("us-east-1");
    const error = await failure(reader.regions());
    expect(error.code).toBe("credentials_expired");
    expect(error.message).toContain("`aws login`");
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIATWO");
    await aws.reader("us-east-1");
    expect(seen.map(({ headers }) => /AKIA\w+/.exec(headers.authorization ?? "")?.[0])).toEqual([
      "AKIAONE",
      "AKIAONE",
      "AKIATWO",
    ]);
  });
  it("an edit of the credentials file is taken after a refusal", async () => {
    const folder = mkdtempSync(join(tmpdir(), "aws-credentials-"));
    try {
      const file = join(folder, "credentials");
      const keys = (id: string) =>
        writeFileSync(file, `[default]\naws_access_key_id = ${id}\naws_secret_access_key = s\n`);
      vi.stubEnv("AWS_ACCESS_KEY_ID", "");
      vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", file);
      keys("AKIAOLD");
      script = [identity, ec2Error(400, "AuthFailure"), identity];
      const fromFile = build();
      const error = await failure((await fromFile.reader("us-east-1")).regions());
      expect(error).toMatchObject({ code: "credentials_invalid", details: { login: "aws configure" } });
      keys("AKIANEW");
      expect((await fromFile.reader("us-east-1")).identity.credentialSource).toBe("profile");
      expect(seen.at(-1)?.headers.authorization).toContain("AKIANEW");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
  it("none at all say how to get some, and AWS is not called", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "");
    const error = await failure(build().reader("us-east-1"));
    expect(error).toMatchObject({
      code: "credentials_missing",
      fixableBy: "operator",
      details: { login: "aws login" },
    });
    expect(seen).toEqual([]);
  });
  it("a role is assumed once for all regions, under one name", async () => {
    const assumed = xml(
      200,
      "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>" +
        "<SessionToken>t</SessionToken><Expiration>2026-11-21T11:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>",
    );
    script = [assumed, identity];
    const roleArn = "arn:aws:iam::123456789012:role/reader";
    const withRole = createAws({ env: process.env, roleArn, sessionName: "me", version: "9.9.9", clock, log });
    const reader = await withRole.reader("us-east-1");
    await withRole.reader("eu-west-1");
    withRole.close();
    expect(seen[0]?.body).toContain("RoleSessionName=me");
    expect(operations()).toEqual(["AssumeRole", "GetCallerIdentity"]);
    expect(reader.identity).toMatchObject({ credentialExpiry: "2026-11-21T11:00:00.000Z" });
    expect(reader.identity.credentialSource).toContain("assumed");
  });
});

describe("regions", () => {
  it("no host is ever made of a name that is no region", async () => {
    expect(await codeOf(aws.writer("x.example.com/").send(allow(22, "10.0.0.0/8"), op("op-1")))).toBe("unknown_region");
    expect(seen).toEqual([]);
  });
  it("the default comes from the environment without a call", async () => {
    expect(await aws.defaultRegion()).toBe("us-east-1");
    expect(seen).toEqual([]);
  });
  it("an endpoint per service wins over the common one", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL_EC2", process.env.AWS_ENDPOINT_URL);
    vi.stubEnv("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    script = [ok("AuthorizeSecurityGroupIngress")];
    expect((await build().writer("us-east-1").send(allow(22, "10.0.0.0/8"), op("op-1"))).awsRequestId).toBe("r-1");
  });
});

describe("laziness", () => {
  it("building AWS, a writer and the default region loads no SDK client and no schema table", () => {
    const code = `
      import { build } from "esbuild";
      import { schemaData } from "./schema-table.mjs";
      const bundle = await build({
        entryPoints: ["src/aws/index.ts"], bundle: true, write: false, metafile: true, format: "esm",
        platform: "node", splitting: true, outdir: "none", mainFields: ["module", "main"],
        plugins: [schemaData],
      });
      const entry = Object.values(bundle.metafile.outputs).find((one) => one.entryPoint === "src/aws/index.ts");
      const reached = new Set();
      const walk = (output) => {
        for (const { path, kind } of output.imports) {
          if (kind === "dynamic-import" || reached.has(path) || !bundle.metafile.outputs[path]) continue;
          reached.add(path);
          walk(bundle.metafile.outputs[path]);
        }
      };
      walk(entry);
      const inputs = [entry, ...[...reached].map((path) => bundle.metafile.outputs[path])].flatMap((one) => Object.keys(one.inputs));
      console.log(JSON.stringify(inputs.filter((path) => /node_modules|schema-data/.test(path))));
    `;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
    expect(run.stderr).toBe("");
    expect(JSON.parse(run.stdout)).toEqual([]);
  });
});
