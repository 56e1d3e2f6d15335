// Questions about databases, in process, on an account that a test says.

import { afterEach, expect, it } from "vitest";
import type { Aws, AwsReader, ListQuery } from "../../src/core/ports.js";
import { type InMemory, inMemory } from "../in-memory.js";

let session: InMemory;
afterEach(() => session.close());

const CLUSTERS = ["orders", "users"].map((clusterId) => ({ clusterId, arn: clusterId, pending: {}, members: [] }));
const idsIn = ({ filters = {} }: ListQuery): readonly string[] | undefined => filters["db-cluster-id"];

it("ids and a cluster are asked for together", async () => {
  const wrap = (aws: Aws): Aws => ({
    ...aws,
    reader: async (...where) => ({
      ...(await aws.reader(...where)),
      databases: { maintenance: async () => new Map() },
      list: (async (type: string, query: ListQuery) => ({
        items: type.endsWith("Cluster") ? CLUSTERS.filter((one) => idsIn(query)?.includes(one.clusterId) ?? true) : [],
      })) as unknown as AwsReader["list"],
    }),
  });
  session = await inMemory({ args: ["--toolsets", "all"], wrap });
  const names = async (given: object) =>
    (await session.call("databases_list", { ...given })).databases.map(
      ({ databaseId }: { databaseId: string }) => databaseId,
    );
  expect(await names({})).toEqual(["orders", "users"]);
  expect(await names({ clusterId: "users" })).toEqual(["users"]);
  expect(await names({ clusterId: "users", databaseIds: ["orders"] })).toEqual([]);
  expect(await names({ clusterId: "users", databaseIds: ["orders", "users"] })).toEqual(["users"]);
});
