// Whose credentials a name means: what cannot be told is an error, and never "not allowed".

import { describe, expect, it } from "vitest";
import { type Reach, severalAccounts } from "../../src/aws/accounts.js";
import { OpsError } from "../../src/core/errors.js";

const expired = new OpsError("credentials_expired", "The AWS credentials have expired.");
const of = (account: string | OpsError): Reach =>
  ({
    identity: async () => {
      if (account instanceof OpsError) throw account;
      return { account, arn: `arn:aws:iam::${account}:user/somebody`, credentialSource: "test" };
    },
  }) as Reach;

describe("an account named by its number", () => {
  it("that expired credentials may be of is not called forbidden", async () => {
    const { accounts } = severalAccounts(of(expired), undefined, [], () => of("1"));
    await expect(accounts.named("123456789012")).rejects.toMatchObject({ code: "credentials_expired" });
  });

  it("is that of whoever can say it, whatever became of the others", async () => {
    const listed = [
      { name: "prod", profile: "p" },
      { name: "old", profile: "o" },
    ] as const;
    const { accounts } = severalAccounts(of("111111111111"), undefined, listed, ({ name }) =>
      of(name === "prod" ? "222222222222" : expired),
    );
    expect(await accounts.named("222222222222")).toBe("prod");
    expect(await accounts.named("111111111111")).toBeUndefined();
    await expect(accounts.named("333333333333")).rejects.toMatchObject({ code: "credentials_expired" });
  });

  it("of a role is the role's without a question, and one that nobody is of is refused", async () => {
    const roleArn = "arn:aws:iam::222222222222:role/operator";
    const { accounts } = severalAccounts(of("111111111111"), undefined, [{ name: "prod", roleArn }], () => of(expired));
    expect(await accounts.named("222222222222")).toBe("prod");
    await expect(accounts.named("333333333333")).rejects.toMatchObject({ code: "unknown_account" });
  });
});
