// The operator's list of accounts, as flags and files write it.

import { describe, expect, it } from "vitest";
import { loadConfig, parseAccount } from "../src/config.js";

const ROLE = "arn:aws:iam::123456789012:role/path/operator";

describe("--accounts", () => {
  it.each([
    ["prod=profile:acme-prod", { name: "prod", profile: "acme-prod" }],
    ["prod=acme-prod", { name: "prod", profile: "acme-prod" }],
    ["profile:acme prod", { name: "acme prod", profile: "acme prod" }],
    ["acme-prod", { name: "acme-prod", profile: "acme-prod" }],
    [`prod=${ROLE}`, { name: "prod", roleArn: ROLE }],
    [ROLE, { name: ROLE, roleArn: ROLE }],
  ])("%s", (text, listed) => {
    expect(parseAccount(text)).toEqual(listed);
  });

  it.each(["", "prod=", "prod=profile:", "=acme", "123456789012=acme", "arn:aws:iam::1:user/x", "a=arn:aws:s3:::b"])(
    "refuses %j by the flag's name",
    (text) => {
      expect(parseAccount(text)).toBeNull();
      if (text !== "")
        expect(() => loadConfig([`--accounts=${text}`], {})).toThrow(/^--accounts: .*ALIAS=profile:NAME/);
    },
  );

  it("refuses one name twice, and any beside the sandbox", () => {
    expect(() => loadConfig(["--accounts", `prod=a,prod=${ROLE}`], {})).toThrow("--accounts: names an account twice");
    expect(() => loadConfig(["--sandbox", "--accounts", "prod=a"], {})).toThrow("--sandbox cannot be combined with");
    expect(loadConfig([], { AWS_DEVOPS_MCP_ACCOUNTS: "prod=a, b" }).config.accounts).toEqual(["prod=a", "b"]);
  });
});
