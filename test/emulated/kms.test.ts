// The store's keys under KMS, on moto: a rollback restores a secret that only KMS can open, in another process.

import { CreateAliasCommand, CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Assistant } from "../harness.js";
import { type Product, startProduct } from "./product.js";

const product = await startProduct("stored secrets under KMS on moto", import.meta.url);

describe.skipIf(!product)("stored secrets under KMS on moto", () => {
  const { cloudControl, ledger, moto } = (product ?? {}) as Product;
  const PARAMETER = "AWS::SSM::Parameter";
  const SECRETS = ["correct-horse-battery-staple", "another-horse-another-staple"] as const;
  let arn = "";

  beforeAll(async () => {
    const credentials = { accessKeyId: "AKIAEMULATED", secretAccessKey: "emulated" };
    const operator = new KMSClient({ endpoint: moto.endpoint, region: "eu-west-1", credentials });
    const { KeyMetadata } = await operator.send(new CreateKeyCommand({}));
    arn = KeyMetadata!.Arn!;
    await operator.send(new CreateAliasCommand({ AliasName: "alias/state", TargetKeyId: arn }));
    operator.destroy();
  });
  afterEach(({ task }) => ledger.settle(task));
  afterAll(() => product!.close());

  const start = (key: string) => product!.start({ args: ["--rollback-secrets", "--state-kms-key", key] });
  async function apply(on: Assistant, planned: { data: { executionToken: string } }): Promise<string> {
    const { executionToken } = planned.data;
    const applied = await on.call("changes_apply", { executionToken });
    expect(applied.data.outcome, JSON.stringify([planned, applied])).toBe("applied");
    return executionToken;
  }
  const revision = async (on: Assistant): Promise<string> =>
    (await on.call("resources_get", { type: PARAMETER, identifier: "/app/note" })).data.revision;

  it("are restored by a process that was started later, by alias or by ARN", async () => {
    const first = await start("alias/state");
    const created = await apply(
      first,
      await first.call("resources_create", {
        type: PARAMETER,
        properties: { Name: "/app/note", Type: "String", Value: "v1", Description: SECRETS[0] },
        intent: "set the scene",
      }),
    );
    await apply(
      first,
      await first.call("resources_update", {
        type: PARAMETER,
        identifier: "/app/note",
        properties: { Description: SECRETS[1], Value: "v2" },
        basedOn: await revision(first),
        intent: "change it",
      }),
    );
    expect(cloudControl.world.get(PARAMETER, "/app/note")).toMatchObject({ Description: SECRETS[1], Value: "v2" });
    await first.close();

    const later = await start(arn);
    const back = { identifier: "/app/note", to: created, basedOn: await revision(later), intent: "go back" };
    const planned = await later.call("tools_run", { tool: "state_rollback", arguments: back });
    expect(planned.isError, JSON.stringify(planned.data)).toBe(false);
    await apply(later, planned);
    expect(cloudControl.world.get(PARAMETER, "/app/note")).toMatchObject({ Description: SECRETS[0], Value: "v1" });
    expect(later.stderr()).not.toContain(SECRETS[0]);
    await later.close();
  }, 60_000);
});
