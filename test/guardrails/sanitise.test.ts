// Texts of errors: what must not be carried on goes, what is needed to mend the error stays.

import { describe, expect, it } from "vitest";
import { sanitised, withoutSecrets } from "../../policies/sanitise.js";

const KEY = "IOSFODNN7EXAMPLE";

describe("secrets go from every text", () => {
  it.each([
    [`key AKIA${KEY} is not valid`, "key [REDACTED] is not valid"],
    [`key ASIA${KEY}, expired`, "key [REDACTED], expired"],
    ["password=hunter2 was refused", "password=[REDACTED] was refused"],
    ['{"secret_key": "abc def", "id": 7}', '{"secret_key": "[REDACTED]", "id": 7}'],
    [
      "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG; region=eu-west-1",
      "aws_secret_access_key=[REDACTED]; region=eu-west-1",
    ],
    ["api-key: 0123456789", "api-key: [REDACTED]"],
    ["Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Authorization: [REDACTED]"],
    ["connect to postgres://app:pw@db.internal:5432/shop failed", "connect to [REDACTED] failed"],
    ["redis://:pw@cache:6379/0 is away", "[REDACTED] is away"],
    ["Server=db;Database=shop;User Id=app;Password=pw; timed out", "[REDACTED] timed out"],
    ["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[REDACTED]"],
    ["-----BEGIN PRIVATE KEY-----\ncut off", "[REDACTED]"],
    [`pushed with ghp_${"a1".repeat(18)}`, "pushed with [REDACTED]"],
    [
      `posted by xoxb-${"12".repeat(6)}-x to https://hooks.slack.com/${"services"}/T0/B0/x`,
      "posted by [REDACTED] to [REDACTED]",
    ],
    [`charged with sk_live_${"9z".repeat(12)}.`, "charged with [REDACTED]."],
    [`signed eyJ${"hbGci".repeat(3)}.eyJ${"zdWIi".repeat(3)}.c2ln`, "signed [REDACTED]"],
  ])("%s", (text, clean) => {
    expect(withoutSecrets(text)).toBe(clean);
    expect(sanitised(text)).toBe(clean);
  });
});

describe("whereabouts go from texts of others", () => {
  it.each([
    ["cannot read /home/ada/.aws/config", "cannot read [REDACTED]"],
    ["in /app/src/main.py, line 3", "in [REDACTED], line 3"],
    ["in C:\\Users\\ada\\keys.txt", "in [REDACTED]"],
    ["10.1.2.3 refused", "[REDACTED] refused"],
    ["connect ECONNREFUSED 127.0.0.1:6379", "connect ECONNREFUSED [REDACTED]"],
    ["from 192.168.7.1 and 172.31.255.255", "from [REDACTED] and [REDACTED]"],
    ["tell ada.l+ops@example.com", "tell [REDACTED]"],
    ["no\n    at run (/app/x.js:1:2)\n    at next (/app/y.js:3:4)", "no"],
    ["Traceback (most recent call last):\n  File x\nKeyError", "[REDACTED]"],
  ])("%s", (text, clean) => {
    expect(sanitised(text)).toBe(clean);
    // They are told on purpose where the text is ours.
    expect(withoutSecrets(text)).toBe(text);
  });
});

describe("what mends an error stays", () => {
  it.each([
    "arn:aws:sts::123456789012:assumed-role/Admin/ada@example.com is not authorized to perform: ec2:RunInstances",
    "arn:aws:s3:::assets/tmp/file",
    "i-0123456789abcdef0 in eu-west-1 is stopped",
    "8.8.8.8 and 172.32.0.1 are public",
    "/aws/lambda/api has no tags",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/id.html",
    "rate exceeded; try again in 5 s",
    "the token is expired",
    "version 10.2.1 of the engine",
  ])("%s", (text) => expect(sanitised(text)).toBe(text));
});
