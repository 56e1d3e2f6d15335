// Tools are found by the words people use, not by ours.

import { describe, expect, it } from "vitest";
import { createCatalogue } from "../../src/catalogue.js";
import { domains } from "../../tools/index.js";

const catalogue = createCatalogue(domains, { allowWrites: true });
const search = (query: string, limit = 5) =>
  catalogue.search(query, limit, { toolsets: ["default"], dotted: true }).map(({ name }) => name);

describe("tools.search", () => {
  it.each([
    ["resize server", "instances.resize"],
    ["turn off a vm", "instances.stop"],
    ["restart the machine", "instances.reboot"],
    ["kill an instance", "instances.terminate"],
    ["who did it", "state.history"],
    ["untagged resources", "tags.untagged"],
    ["add a tag", "tags.apply"],
    ["which tags are missing", "tags.untagged"],
    ["compliance report", "tags.report"],
    ["export violations to excel", "tags.exportCsv"],
    ["tag exceptions", "tags.exceptions"],
    ["rds backup", "databases.createSnapshot"],
    ["list backups", "snapshots.list"],
    ["restore database", "databases.restoreSnapshot"],
    ["increase disk of database", "databases.modifyInstance"],
    ["upgrade postgres", "databases.modifyInstance"],
    ["roll back a release", "deployments.rollback"],
    ["deploy new version", "deployments.create"],
    ["canary", "deployments.create"],
    ["what did we spend", "costs.summary"],
    ["bill", "costs.summary"],
    ["how much will it cost", "costs.estimate"],
    ["spend by team tag", "costs.byTag"],
    ["unusual costs", "costs.anomalies"],
    ["predict next month's bill", "costs.forecast"],
    ["scale out", "autoscaling.setCapacity"],
    ["why are targets unhealthy", "loadBalancers.targetHealth"],
    ["open a port", "securityGroups.addRule"],
    ["s3 bucket", "resources.create"],
    ["undo", "state.rollback"],
    ["budget", "session.whoami"],
    ["regions", "regions.list"],
  ])("%s", (query, name) => {
    expect(search(query)).toContain(name);
  });

  it("answers everything to no words, and nothing to words that mean nothing here", () => {
    expect(search("", 500)).toHaveLength(catalogue.entries.length);
    expect(search("xyzzy")).toEqual([]);
  });

  it("finds every tool by its own name and by its title, under the first five", () => {
    for (const { name, tool } of catalogue.entries) {
      expect(search(name, 1), name).toEqual([name]);
      expect(search(tool.title), tool.title).toContain(name);
    }
  });
});
