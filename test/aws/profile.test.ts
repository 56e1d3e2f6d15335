// Which region is the default, and which command renews whose credentials.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { defaultRegion, loginCommand } from "../../src/aws/profile.js";

describe("the command that renews credentials", () => {
  const profiles = {
    default: { aws_access_key_id: "x" },
    sso: { sso_session: "corp" },
    old: { sso_start_url: "https://x" },
    console: { login_session: "arn" },
    role: { role_arn: "arn", source_profile: "sso" },
    circle: { source_profile: "circle" },
    keys: { aws_access_key_id: "x" },
  };
  it.each([
    ["sso", "aws sso login --profile sso"],
    ["old", "aws sso login --profile old"],
    ["console", "aws login --profile console"],
    ["role", "aws sso login --profile sso"],
    ["circle", "aws configure --profile circle"],
    ["keys", "aws configure --profile keys"],
    ["absent", "aws configure --profile absent"],
    [undefined, "aws configure"],
    ["x; rm -rf ~", "aws configure --profile 'x_ rm -rf _'"],
  ])("of profile %s is %s", (profile, command) => {
    expect(loginCommand(profiles, profile, {})).toBe(command);
  });
  it("follows AWS_PROFILE, and without any configuration needs no keys", () => {
    expect(loginCommand(profiles, undefined, { AWS_PROFILE: "sso" })).toBe("aws sso login --profile sso");
    expect(loginCommand({ default: { sso_session: "c" } }, undefined, {})).toBe("aws sso login");
    expect(loginCommand({}, undefined, {})).toBe("aws login");
  });
});

describe("the default region", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "aws-profile-"));
    writeFileSync(
      join(folder, "config"),
      "[default]\nregion = eu-north-1\n[profile dev]\nregion = eu-west-3\n[profile bare]\noutput = json\n",
    );
    vi.stubEnv("AWS_CONFIG_FILE", join(folder, "config"));
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", join(folder, "none"));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  it("follows an edit of the file without a restart", async () => {
    expect(await defaultRegion(undefined, "dev", {})).toBe("eu-west-3");
    writeFileSync(join(folder, "config"), "[profile dev]\nregion = eu-south-2\n");
    expect(await defaultRegion(undefined, "dev", {})).toBe("eu-south-2");
  });
  it.each([
    [["sa-east-1", "dev", { AWS_REGION: "us-east-2" }], "sa-east-1"],
    [[undefined, "dev", { AWS_REGION: "us-east-2", AWS_DEFAULT_REGION: "us-west-2" }], "us-east-2"],
    [[undefined, "dev", { AWS_DEFAULT_REGION: "us-west-2" }], "us-west-2"],
    [[undefined, "dev", {}], "eu-west-3"],
    [[undefined, undefined, { AWS_PROFILE: "dev" }], "eu-west-3"],
    [[undefined, undefined, {}], "eu-north-1"],
    [[undefined, "bare", {}], undefined],
    [[undefined, "absent", {}], undefined],
  ] as const)("of %j is %s", async ([explicit, profile, env], region) => {
    expect(await defaultRegion(explicit, profile, env)).toBe(region);
  });
});
