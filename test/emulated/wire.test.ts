// Reading requests of services whose SDK client is not installed, and rewriting their answers: by hand-made wire.
import { describe, expect, test } from "vitest";
import { withEpochTimes, withStatus } from "./rewrite.js";
import { errorReply, readAws } from "./wire.js";

const wire = (service: string, method: string, url: string, headers: Record<string, string> = {}, body = "") =>
  readAws({
    method,
    url,
    headers: {
      authorization: `AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/${service}/aws4_request, Signature=0`,
      ...headers,
    },
    body: Buffer.from(body),
  });

describe("the operation", () => {
  test.each([
    ["PUT", "/bucket/key?x-id=PutObject", "PutObject"],
    ["GET", "/bucket/a/b?x-id=GetObject", "GetObject"],
    ["HEAD", "/bucket/key", "HeadObject"],
    ["DELETE", "/bucket/key", "DeleteObject"],
    ["GET", "/bucket?list-type=2&prefix=a", "ListObjectsV2"],
    ["GET", "/bucket?versions", "ListObjectVersions"],
    ["PUT", "/bucket/", "CreateBucket"],
    ["HEAD", "/bucket", "HeadBucket"],
    ["DELETE", "/bucket", "DeleteBucket"],
    ["PUT", "/bucket?versioning", "PutBucketVersioning"],
    ["GET", "/bucket?publicAccessBlock", "GetPublicAccessBlock"],
    ["PUT", "/bucket/key?tagging", "PutObjectTagging"],
    ["POST", "/bucket?delete", "DeleteObjects"],
    ["GET", "/", "ListBuckets"],
  ])("S3 %s %s is %s", (method, url, operation) => {
    expect(wire("s3", method, url)).toMatchObject({ service: "s3", operation, protocol: "rest" });
  });

  test("of rpc-v2-cbor is in the path, of the query protocol in the form", () => {
    const cbor = wire("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/DescribeAlarms");
    expect(cbor).toMatchObject({ operation: "DescribeAlarms", protocol: "cbor" });
    const type = {
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
      "amz-sdk-request": "attempt=2; max=3",
    };
    const form = wire("rds", "POST", "/", type, "Action=StopDBInstance&Version=2014-10-31&DBInstanceIdentifier=db");
    expect(form).toMatchObject({ operation: "StopDBInstance", protocol: "query", attempt: 2 });
    expect(form.params).toEqual({ DBInstanceIdentifier: "db" });
  });

  test("an unsigned request is nobody's; a presigned one carries its scope in the query", () => {
    expect(readAws({ method: "GET", url: "/", headers: {}, body: Buffer.alloc(0) })).toMatchObject({
      service: "unknown",
    });
    const url = "/bucket/key?X-Amz-Credential=AKIA%2F20260101%2Feu-west-1%2Fs3%2Faws4_request";
    expect(readAws({ method: "GET", url, headers: {}, body: Buffer.alloc(0) })).toMatchObject({
      service: "s3",
      region: "eu-west-1",
    });
  });
});

test("an error speaks the protocol it answers", () => {
  const said = (request: ReturnType<typeof wire>) => errorReply(request, 503, "SlowDown", "a < b").body.toString();
  expect(said(wire("s3", "GET", "/bucket/key"))).toBe(
    "<Error><Code>SlowDown</Code><Message>a &lt; b</Message></Error>",
  );
  const form = { "content-type": "application/x-www-form-urlencoded" };
  expect(said(wire("ec2", "POST", "/", form, "Action=X"))).toMatch(/^<Response><Errors><Error><Code>SlowDown/);
  expect(said(wire("rds", "POST", "/", form, "Action=X"))).toMatch(/^<ErrorResponse><Error><Type>Receiver/);
  expect(said(wire("ecs", "POST", "/", { "x-amz-target": "A.B" }))).toContain('"__type":"SlowDown"');
});

test("a status is rewritten wherever the field is, in XML and in JSON", () => {
  const xml = "<a><instanceState><code>16</code><name>running</name></instanceState><name>web</name></a>";
  expect(withStatus(xml, "instanceState/name", "pending")).toContain("<code>16</code><name>pending</name>");
  expect(withStatus(xml, "instanceState/name", "pending")).toContain("<name>web</name>");
  const json = JSON.stringify({ services: [{ status: "ACTIVE", deployments: [{ rolloutState: "COMPLETED" }] }] });
  expect(JSON.parse(withStatus(json, "deployments/rolloutState", "FAILED"))).toEqual({
    services: [{ status: "ACTIVE", deployments: [{ rolloutState: "FAILED" }] }],
  });
});

test("ISO times become epoch seconds, other texts stay", () => {
  const body = JSON.stringify({
    at: "2026-01-01T00:00:00.500Z",
    bare: "2026-01-01T00:00:00",
    day: "2026-01-01",
    list: ["x"],
  });
  expect(JSON.parse(withEpochTimes(body))).toEqual({
    at: 1767225600.5,
    bare: 1767225600,
    day: "2026-01-01",
    list: ["x"],
  });
});
