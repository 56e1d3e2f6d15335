// Which row decides: first match wins, frozen answers, bounded memory.
import { afterEach, describe, expect, it, vi } from "vitest";
import { PolicyEngine, StateSyncLayer, type SyncPolicy } from "../../policies/state-sync/index.js";

afterEach(() => vi.restoreAllMocks());

describe("first match wins", () => {
  it("takes the first row that fits and merges nothing from later ones", () => {
    const engine = new PolicyEngine([
      { match: "sprints.get", cacheControl: "immutable" },
      { match: "sprints.*", cacheControl: "no-store", invalidates: ["sprints.*"] },
    ]);
    expect(engine.resolve("sprints.get")).toEqual({ cacheControl: "immutable" });
    expect(engine.resolve("sprints.list")).toEqual({ cacheControl: "no-store", invalidates: ["sprints.*"] });
    expect(engine.explain("sprints.get")).toEqual({ index: 0, match: "sprints.get" });
    expect(engine.explain("sprints.list")).toEqual({ index: 1, match: "sprints.*" });
  });

  it("lets a broad row in front swallow a narrow one", () => {
    const engine = new PolicyEngine([
      { match: "sprints.*", cacheControl: "no-store" },
      { match: "sprints.get", cacheControl: "immutable" },
    ]);
    expect(engine.resolve("sprints.get")).toEqual({ cacheControl: "no-store" });
  });

  it("fills in the default, for writes too", () => {
    const engine = new PolicyEngine([{ match: "a.launch", invalidates: ["a.*"] }], { cacheControl: "no-store" });
    expect(engine.resolve("a.launch")).toEqual({ cacheControl: "no-store", invalidates: ["a.*"] });
    expect(engine.resolve("b.list")).toEqual({ cacheControl: "no-store" });
    expect(engine.explain("b.list")).toBeNull();
  });

  it("answers null where nothing is said, and a row that says nothing still shadows", () => {
    const engine = new PolicyEngine([{ match: "a.*" }, { match: "a.b", invalidates: ["a.*"] }]);
    expect(engine.resolve("a.b")).toBeNull();
    expect(engine.explain("a.b")).toEqual({ index: 0, match: "a.*" });
    expect(engine.resolve("z")).toBeNull();
    expect(engine.explain("z")).toBeNull();
    expect(new PolicyEngine([]).resolve("z")).toBeNull();
  });

  it("treats an empty list as an absent one", () => {
    expect(new PolicyEngine([{ match: "a", invalidates: [] }]).resolve("a")).toBeNull();
    expect(new PolicyEngine([{ match: "a", cacheControl: "immutable", invalidates: [] }]).resolve("a")).toEqual({
      cacheControl: "immutable",
    });
  });

  it("knows canonical names only: without a name map a wire name is another name", () => {
    const engine = new PolicyEngine([{ match: "instances.*", cacheControl: "immutable" }], {
      cacheControl: "no-store",
    });
    expect(engine.resolve("instances_list")).toEqual({ cacheControl: "no-store" });
  });
});

describe("freezing", () => {
  it("is deaf to later edits of everything it was given", () => {
    const row = { match: "a.b", cacheControl: "no-store" as "no-store" | "immutable", invalidates: ["a.*"] };
    const policies: SyncPolicy[] = [row];
    const defaults = { cacheControl: "no-store" as "no-store" | "immutable" };
    const engine = new PolicyEngine(policies, defaults);
    row.match = "z";
    row.cacheControl = "immutable";
    row.invalidates.push("everything.**");
    policies.push({ match: "**", cacheControl: "immutable" });
    defaults.cacheControl = "immutable";
    expect(engine.resolve("a.b")).toEqual({ cacheControl: "no-store", invalidates: ["a.*"] });
    expect(engine.explain("a.b")).toEqual({ index: 0, match: "a.b" });
    expect(engine.resolve("other")).toEqual({ cacheControl: "no-store" });
  });

  it("answers frozen objects, lists included", () => {
    const resolved = new PolicyEngine([{ match: "a", invalidates: ["a.*"] }]).resolve("a");
    expect(Object.isFrozen(resolved)).toBe(true);
    expect(Object.isFrozen(resolved?.invalidates)).toBe(true);
    expect(Object.isFrozen(new PolicyEngine([], { cacheControl: "no-store" }).resolve("a"))).toBe(true);
  });

  it("answers the same object for the same name, and for equal rows", () => {
    const engine = new PolicyEngine([
      { match: "a", invalidates: ["x.*", "y.*"] },
      { match: "b", invalidates: ["x.*", "y.*"] },
      { match: "c", invalidates: ["y.*", "x.*"] },
      { match: "d", cacheControl: "no-store" },
    ]);
    expect(engine.resolve("a")).toBe(engine.resolve("a"));
    expect(engine.resolve("a")).toBe(engine.resolve("b"));
    expect(engine.resolve("a")).not.toBe(engine.resolve("c"));
    const withDefault = new PolicyEngine([{ match: "d", cacheControl: "no-store" }], { cacheControl: "no-store" });
    expect(withDefault.resolve("d")).toBe(withDefault.resolve("anything"));
  });

  it("freezes what the layer was given as well", () => {
    const signal = { text: "system" as "system" | "xml" };
    const names = {
      toWire: (name: string) => name.replaceAll(".", "_"),
      toCanonical: (name: string) => name.replaceAll("_", "."),
    };
    const config = { policies: [{ match: "a.b", invalidates: ["a.*"] }], signal, names, clock: () => new Date(0) };
    const layer = new StateSyncLayer(config);
    signal.text = "xml";
    names.toWire = () => "edited";
    names.toCanonical = () => "edited";
    config.clock = () => new Date(1e12);
    const result = layer.decorateResult("a_b", {
      content: [] as { text: string }[],
      _meta: {} as Record<string, { at: string }>,
    });
    expect(result.content[0]?.text).toBe("[System: Cache invalidated for a_* — caused by a_b]");
    expect(result._meta["aws-devops-mcp/state-sync"]?.at).toBe("1970-01-01T00:00:00.000Z");
  });

  it("keeps the object a method belongs to", () => {
    class Config {
      policies = [{ match: "a", invalidates: ["a"] }];
      seen: string[] = [];
      onInvalidation(event: { causedBy: string }) {
        this.seen.push(event.causedBy);
      }
    }
    const config = new Config();
    const { onInvalidation } = config;
    const layer = new StateSyncLayer({ policies: config.policies, onInvalidation: onInvalidation.bind(config) });
    layer.decorateResult("a", { content: [] });
    expect(config.seen).toEqual(["a"]);
  });
});

describe("memory", () => {
  it("empties the cache as a whole at 2048 names and stays right for 100 000", () => {
    const clear = vi.spyOn(Map.prototype, "clear");
    const engine = new PolicyEngine([{ match: "even.**", cacheControl: "immutable" }]);
    for (let i = 0; i < 2048; i++) engine.resolve(`odd.n${i}`);
    expect(clear).not.toHaveBeenCalled();
    for (let i = 2048; i < 100_000; i++) engine.resolve(i % 2 ? `odd.n${i}` : `even.n${i}`);
    expect(clear).toHaveBeenCalledTimes(48); // 99 999 / 2048, rounded down
    expect((clear.mock.contexts[0] as Map<string, unknown>).size).toBeLessThanOrEqual(2048);
    expect(engine.resolve("even.n4")).toEqual({ cacheControl: "immutable" });
    expect(engine.resolve("odd.n5")).toBeNull();
  });

  it("caches nulls too: a second question splits nothing and asks no row", () => {
    const engine = new PolicyEngine([{ match: "a", cacheControl: "immutable" }]);
    engine.resolve("z.z");
    const split = vi.spyOn(String.prototype, "split");
    expect(engine.resolve("z.z")).toBeNull();
    expect(split).not.toHaveBeenCalled();
  });

  it("resolves a name over the limits correctly, and never keeps it", () => {
    const engine = new PolicyEngine([{ match: "a.**.z", cacheControl: "immutable" }]);
    const long = `a.${"b.".repeat(300)}z`;
    expect(engine.resolve(long)).toEqual({ cacheControl: "immutable" });
    const set = vi.spyOn(Map.prototype, "set");
    engine.resolve(long);
    engine.resolve("q".repeat(129));
    engine.resolve(Array(33).fill("a").join("."));
    expect(set).not.toHaveBeenCalled();
    engine.resolve("q".repeat(128));
    expect(set).toHaveBeenCalledTimes(1);
  });

  it("is not fooled by names that are properties of every object", () => {
    const engine = new PolicyEngine([{ match: "constructor", cacheControl: "immutable" }]);
    expect(engine.resolve("__proto__")).toBeNull();
    expect(engine.resolve("toString")).toBeNull();
    expect(engine.resolve("constructor")).toEqual({ cacheControl: "immutable" });
  });
});
