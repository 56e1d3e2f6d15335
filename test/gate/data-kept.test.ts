// What counts as the copy of a database that is to be deleted: looked for on every page, and of this very database.

import { describe, expect, it } from "vitest";
import type { ChangeStep } from "../../src/core/change.js";
import type { AwsReader } from "../../src/core/ports.js";
import { refuseDataLoss } from "../../src/gate/data-kept.js";

const NOW = new Date("2026-11-21T10:00:00Z");
const snapshot = (snapshotId: string, createdAt: string) => ({ snapshotId, createdAt, status: "available" });

function account(createdAt: string, pages: readonly (readonly object[])[]): AwsReader {
  return {
    get: async () => ({ deletionProtection: false, createdAt }),
    list: async (_: string, { cursor = "0" }: { cursor?: string }) => {
      const next = Number(cursor) + 1;
      return { items: pages[Number(cursor)] ?? [], ...(next < pages.length && { next: String(next) }) };
    },
  } as unknown as AwsReader;
}

const ref = { account: "1", region: "eu-west-1", id: "shop" };
const remove = (type: string): ChangeStep => ({
  service: "cloudcontrol",
  operation: "DeleteResource",
  input: {},
  ref: { ...ref, type },
  reader: "cloudcontrol",
  kind: "delete",
  before: {},
  after: null,
  touches: [""],
});

describe.each(["AWS::RDS::DBInstance", "AWS::RDS::DBCluster"])("a copy of a %s", (type) => {
  it("is found on whatever page it stands", async () => {
    const old = Array.from({ length: 100 }, (_, index) => snapshot(`old-${index}`, "2026-01-01T00:00:00Z"));
    const aws = account("2025-01-01T00:00:00Z", [old, [snapshot("fresh", "2026-11-21T09:00:00Z")]]);
    expect((await refuseDataLoss(aws, remove(type), NOW)).join()).toContain("fresh");
  });

  it("is none if it was taken of an earlier database of the same name", async () => {
    const aws = account("2026-11-21T09:30:00Z", [[snapshot("of-the-old-one", "2026-11-21T09:00:00Z")]]);
    await expect(refuseDataLoss(aws, remove(type), NOW)).rejects.toMatchObject({ code: "unsupported" });
  });
});
