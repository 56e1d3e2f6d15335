// Our table: the seed's rows to the letter (section 12), the holes it leaves, and what closes them.
import { describe, expect, it, test } from "vitest";
import { covers, lintPolicies, PolicyEngine, StateSyncLayer } from "../../policies/state-sync/index.js";
import { fallbackRows, ourRows, policyTable, seedRows, type TableTool } from "../../policies/table.js";
import { policiesOf } from "../../src/app.js";
import { createCatalogue } from "../../src/catalogue.js";
import { domains } from "../../tools/index.js";

const NO_STORE = { cacheControl: "no-store" } as const;

const SEED = [
  { match: "regions.*", cacheControl: "immutable" },
  { match: "services.list", cacheControl: "immutable" },
  { match: "instances.launch", invalidates: ["instances.*", "autoscaling.*", "costs.*"] },
  { match: "instances.terminate", invalidates: ["instances.*", "autoscaling.*", "loadBalancers.*", "costs.*"] },
  { match: "securityGroups.addRule", invalidates: ["securityGroups.*", "instances.*"] },
  { match: "securityGroups.removeRule", invalidates: ["securityGroups.*", "instances.*"] },
  { match: "deployments.create", invalidates: ["deployments.*", "instances.*", "services.*"] },
  { match: "deployments.rollback", invalidates: ["deployments.*", "instances.*", "services.*"] },
  { match: "databases.createSnapshot", invalidates: ["databases.*", "snapshots.*"] },
  { match: "databases.modifyInstance", invalidates: ["databases.*", "costs.*"] },
];

// The tools of this version, and the whole catalogue, as literals.
const listed = (kind: TableTool["kind"], text: string): TableTool[] =>
  text.split(/\s+/).flatMap((domain) => {
    const [name, verbs = ""] = domain.split(":");
    return verbs.split(",").map((verb) => ({ name: `${name}.${verb}`, kind }));
  });
const VERSION_1: readonly TableTool[] = [
  ...listed(
    "read",
    "session:whoami tools:search,run regions:list instances:list,get securityGroups:list,get resources:list,get,schema changes:get,list,cancel state:history,drift",
  ),
  ...listed(
    "plan",
    "instances:launch,terminate securityGroups:addRule,removeRule,update resources:create,update,delete state:rollback",
  ),
  ...listed("apply", "changes:apply"),
];
const CATALOGUE: readonly TableTool[] = [
  ...listed(
    "read",
    "session:whoami,seen tools:search,run regions:list services:list,health instances:list,get autoscaling:list,get,activities loadBalancers:list,targetHealth",
  ),
  ...listed(
    "read",
    "securityGroups:list,get deployments:list,get databases:list,get snapshots:list costs:summary,byTag,forecast,estimate,anomalies",
  ),
  ...listed(
    "read",
    "tags:policy,check,untagged,validate,costGap,suggest,report,history,drift,exportCsv,custodianPolicy,scheduleAudit,importPolicy,exceptions",
  ),
  ...listed(
    "read",
    "resources:list,get,schema,template changes:get,list,cancel state:history,drift,impact,graph,save,load,verify,export stacks:list,get",
  ),
  ...listed("read", "operations:list,get locks:list hosts:list,check audit:query"),
  ...listed(
    "plan",
    "instances:launch,start,stop,reboot,resize,terminate autoscaling:setCapacity securityGroups:addRule,removeRule,update,create,delete",
  ),
  ...listed(
    "plan",
    "deployments:create,rollback databases:start,stop,createSnapshot,modifyInstance,modifyCluster,restoreSnapshot tags:apply resources:create,update,delete,import",
  ),
  ...listed("plan", "state:revert,accept,ignore,refresh,rollback stacks:create,update,destroy,rollback"),
  ...listed("apply", "changes:apply"),
];
const engineOf = (tools: readonly TableTool[]) => {
  const { policies, defaults } = policyTable(tools);
  return new PolicyEngine(policies, defaults);
};

describe("conformance: the seed's policies, no-store by default", () => {
  const engine = new PolicyEngine(seedRows, NO_STORE);
  test.each<[string, string, string[]?]>([
    ["regions.list", "immutable"],
    ["services.list", "immutable"],
    ["services.get", "no-store"],
    ["instances.list", "no-store"],
    ["instances.stop", "no-store"],
    ["securityGroups.get", "no-store"],
    ["securityGroups.update", "no-store"],
    ["autoscaling.setCapacity", "no-store"],
    ["deployments.list", "no-store"],
    ["instances.tags.list", "no-store"],
    ["instances_list", "no-store"],
    ["instances.launch", "no-store", ["instances.*", "autoscaling.*", "costs.*"]],
    ["instances.terminate", "no-store", ["instances.*", "autoscaling.*", "loadBalancers.*", "costs.*"]],
    ["securityGroups.addRule", "no-store", ["securityGroups.*", "instances.*"]],
    ["securityGroups.removeRule", "no-store", ["securityGroups.*", "instances.*"]],
    ["deployments.create", "no-store", ["deployments.*", "instances.*", "services.*"]],
    ["deployments.rollback", "no-store", ["deployments.*", "instances.*", "services.*"]],
    ["databases.createSnapshot", "no-store", ["databases.*", "snapshots.*"]],
    ["databases.modifyInstance", "no-store", ["databases.*", "costs.*"]],
  ])("%s: %s, %j", (name, cacheControl, invalidates) => {
    expect(engine.resolve(name)).toEqual({ cacheControl, ...(invalidates && { invalidates }) });
  });

  it("says the seed's own sentences", () => {
    const layer = new StateSyncLayer({ policies: seedRows, defaults: NO_STORE });
    const [instances, group] = layer.decorateTools([
      { name: "instances.list", description: "List all EC2 instances with current status." },
      { name: "securityGroups.get", description: "Get a security group with all inbound/outbound rules." },
    ]);
    expect(instances?.description).toBe("List all EC2 instances with current status. [Cache-Control: no-store]");
    expect(group?.description).toBe("Get a security group with all inbound/outbound rules. [Cache-Control: no-store]");
    const answer = '{"ok": true, "instance_id": "i-0a1b2c3d4e5f6", "status": "pending"}';
    const launched = layer.decorateResult("instances.launch", { content: [{ type: "text", text: answer }] });
    expect(launched.content.map(({ text }) => text)).toEqual([
      "[System: Cache invalidated for instances.*, autoscaling.*, costs.* — caused by instances.launch]",
      answer,
    ]);
    const added = layer.decorateResult("securityGroups.addRule", { content: [{ type: "text", text: "{}" }] });
    expect(added.content[0]?.text).toBe(
      "[System: Cache invalidated for securityGroups.*, instances.* — caused by securityGroups.addRule]",
    );
  });
});

describe("the holes of the bare set", () => {
  const seedTools = [
    ...listed(
      "read",
      "regions:list services:list,get instances:list securityGroups:get deployments:list databases:list autoscaling:list costs:get",
    ),
    ...listed(
      "plan",
      "instances:launch,terminate,stop securityGroups:addRule,removeRule,update deployments:create,rollback databases:createSnapshot,modifyInstance autoscaling:setCapacity",
    ),
    { name: "instances.tags.list", kind: "read" as const },
  ];
  it("are exactly these", () => {
    const found = lintPolicies({ policies: seedRows, defaults: NO_STORE }, seedTools).map(
      ({ code, match }) => `${code} ${match}`,
    );
    expect(found.sort()).toEqual([
      "dead_invalidation loadBalancers.*",
      "dead_invalidation snapshots.*",
      "immutable_invalidated services.list",
      "mutator_without_policy autoscaling.setCapacity",
      "mutator_without_policy instances.stop",
      "mutator_without_policy securityGroups.update",
    ]);
  });

  it("include deeper names, which no pattern of the seed reaches and ours do", () => {
    const patterns = seedRows.flatMap(({ invalidates = [] }) => invalidates);
    expect(covers(patterns, "instances.tags.list")).toBe(false);
    expect(
      covers(
        engineOf([...VERSION_1, ...seedTools]).resolve("securityGroups.update")?.invalidates ?? [],
        "instances.tags.list",
      ),
    ).toBe(true);
  });
});

describe("the table", () => {
  it("starts with the seed's rows, letter for letter, whatever is served", () => {
    expect(seedRows).toEqual(SEED);
    for (const tools of [[], VERSION_1, CATALOGUE]) {
      const { policies, defaults } = policyTable(tools);
      expect(policies.slice(0, SEED.length)).toEqual(SEED);
      expect(defaults).toEqual(NO_STORE);
    }
  });

  it.each([
    ["version 1", VERSION_1],
    ["the whole catalogue", CATALOGUE],
    ["reads only", CATALOGUE.filter(({ kind }) => kind === "read")],
    ["nothing", []],
  ])("is clean under strict for %s", (_, tools) => {
    const findings = lintPolicies({ ...policyTable(tools), strict: true }, tools);
    expect(findings.filter(({ severity }) => severity !== "info")).toEqual([]);
    expect(findings.every(({ accepted }) => accepted)).toBe(true);
  });

  it("accepts, for version 1, exactly what the seed says about tools to come", () => {
    const accepted = lintPolicies(policyTable(VERSION_1), VERSION_1).map(({ code, match }) => `${code} ${match}`);
    expect([...new Set(accepted)].sort()).toEqual([
      "dead_invalidation autoscaling.*",
      "dead_invalidation costs.*",
      "dead_invalidation databases.*",
      "dead_invalidation deployments.*",
      "dead_invalidation loadBalancers.*",
      "dead_invalidation services.*",
      "dead_invalidation snapshots.*",
      "unused_match databases.createSnapshot",
      "unused_match databases.modifyInstance",
      "unused_match deployments.create",
      "unused_match deployments.rollback",
      "unused_match services.list",
    ]);
  });

  it("accepts, for the whole catalogue, only that immutable wins", () => {
    const { accept } = policyTable(CATALOGUE);
    expect(accept.map(({ code, match }) => `${code} ${match}`)).toEqual(["immutable_invalidated services.list"]);
    expect(lintPolicies(policyTable(CATALOGUE), CATALOGUE)).toMatchObject([
      { code: "immutable_invalidated", accepted: expect.stringContaining("immutable wins") },
    ]);
  });

  it("would not pass a mistake of our own: a wrong pattern is not accepted", () => {
    const { policies, accept } = policyTable(VERSION_1);
    const wrong = [...policies, { match: "instances.get", invalidates: ["instance.**"] }];
    expect(() => lintPolicies({ policies: wrong, accept, strict: true }, VERSION_1)).toThrow("reader_invalidates");
    expect(() => lintPolicies({ policies: wrong, accept, strict: true }, VERSION_1)).toThrow("dead_invalidation");
  });

  it("names only tools and domains of the catalogue: every row decides a tool, every pattern reaches one", () => {
    const findings = lintPolicies({ policies: [...seedRows, ...ourRows], defaults: NO_STORE }, CATALOGUE);
    expect(findings.map(({ code }) => code)).toEqual(["immutable_invalidated"]);
  });

  it("gives every plan tool its own domain, and no read, cancel or apply a list", () => {
    const engine = engineOf(CATALOGUE);
    for (const { name, kind } of CATALOGUE) {
      const stale = engine.resolve(name)?.invalidates;
      if (kind === "plan") expect(covers(stale ?? [], `${name.split(".")[0]}.anything`), name).toBe(true);
      else expect(stale, name).toBeUndefined();
    }
  });

  it("is no-store for everything but regions and the list of services", () => {
    const engine = engineOf(CATALOGUE);
    const immutable = CATALOGUE.filter(({ name }) => engine.resolve(name)?.cacheControl === "immutable").map(
      ({ name }) => name,
    );
    expect(immutable).toEqual(["regions.list", "services.list"]);
    expect(CATALOGUE.every(({ name }) => engine.resolve(name)?.cacheControl)).toBe(true);
  });

  test.each<[string, string[]]>([
    ["securityGroups.update", ["securityGroups.**", "instances.**", "resources.**", "state.**"]],
    ["resources.update", ["resources.**", "state.**", "instances.**", "securityGroups.**"]],
    ["state.rollback", ["resources.**", "state.**", "instances.**", "securityGroups.**"]],
    ["securityGroups.addRule", ["securityGroups.*", "instances.*"]],
  ])("version 1: %s makes %j stale", (name, expected) => {
    expect(engineOf(VERSION_1).resolve(name)).toEqual({ cacheControl: "no-store", invalidates: expected });
  });

  it("makes every concrete domain stale where any type can change", () => {
    const engine = engineOf(CATALOGUE);
    const domains = [
      "instances",
      "autoscaling",
      "loadBalancers",
      "securityGroups",
      "deployments",
      "databases",
      "snapshots",
      "stacks",
      "tags",
      "costs",
      "resources",
      "state",
    ];
    for (const name of [
      "resources.create",
      "resources.update",
      "resources.delete",
      "state.revert",
      "state.rollback",
      "stacks.create",
      "stacks.destroy",
      "tags.apply",
    ]) {
      const stale = engine.resolve(name)?.invalidates ?? [];
      for (const domain of domains) expect(covers(stale, `${domain}.list`), `${name} and ${domain}`).toBe(true);
      for (const domain of ["session", "tools", "regions", "changes", "audit"])
        expect(covers(stale, `${domain}.list`), name).toBe(false);
    }
  });
});

describe("fallbackRows", () => {
  it("are generated for plan tools without a row, behind all others", () => {
    const tools: TableTool[] = [
      ...VERSION_1,
      { name: "queues.purge", kind: "plan" },
      { name: "queues.deep.drop", kind: "plan" },
      { name: "queues.list", kind: "read" },
    ];
    const { policies } = policyTable(tools);
    expect(policies.slice(-2)).toEqual([
      { match: "queues.purge", invalidates: ["queues.**"] },
      { match: "queues.deep.drop", invalidates: ["queues.**"] },
    ]);
    expect(
      lintPolicies({ ...policyTable(tools), strict: true }, tools).filter(({ severity }) => severity !== "info"),
    ).toEqual([]);
  });

  it("are not generated for reads, for changes.apply, or for a tool that a row decides", () => {
    expect(fallbackRows(CATALOGUE, [...seedRows, ...ourRows])).toEqual([]);
    expect(
      fallbackRows(
        [
          { name: "changes.apply", kind: "apply" },
          { name: "a.get", kind: "read" },
        ],
        [],
      ),
    ).toEqual([]);
  });

  it("leave a plan tool that an immutable row swallows to lint", () => {
    const tools: TableTool[] = [
      { name: "regions.list", kind: "read" },
      { name: "regions.enable", kind: "plan" },
    ];
    expect(() => lintPolicies({ ...policyTable(tools), strict: true }, tools)).toThrow("mutator_without_policy");
  });
});

describe("the tools as they are served", () => {
  const choices = [true, false].flatMap((allowWrites) =>
    [true, false].flatMap((accounts) => [true, false].map((dotted) => ({ allowWrites, accounts, dotted }))),
  );
  test.each(choices)("leave nothing to mend: %j", ({ dotted, ...options }) => {
    const { tools, names, table } = policiesOf(createCatalogue(domains, options), dotted);
    expect(tools.length).toBeGreaterThan(50);
    lintPolicies({ ...table, names, strict: true }, tools);
  });
});
