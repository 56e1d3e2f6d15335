// Section 11: the builder.
import { describe, expect, it } from "vitest";
import {
  type InvalidationEvent,
  PolicyBuilder,
  type ResourceNotification,
  StateSyncBuilder,
  StateSyncLayer,
} from "../../policies/state-sync/index.js";

describe("PolicyBuilder", () => {
  it("says immutable, no-store, and accumulates", () => {
    expect(new PolicyBuilder().cached().toPolicy("a")).toEqual({ match: "a", cacheControl: "immutable" });
    expect(new PolicyBuilder().stale().toPolicy("a")).toEqual({ match: "a", cacheControl: "no-store" });
    expect(new PolicyBuilder().cached().stale().toPolicy("a").cacheControl).toBe("no-store");
    expect(new PolicyBuilder().invalidates("a.*").invalidates("b.*", "c.*").toPolicy("a")).toEqual({
      match: "a",
      invalidates: ["a.*", "b.*", "c.*"],
    });
    expect(new PolicyBuilder().toPolicy("a")).toEqual({ match: "a" });
  });
});

describe("StateSyncBuilder", () => {
  it("builds a layer of rows in the order they were said", () => {
    const events: InvalidationEvent[] = [];
    const sent: ResourceNotification[] = [];
    const layer = new StateSyncBuilder()
      .defaults((p) => p.stale())
      .policy("countries.*", (p) => p.cached())
      .policy("tasks.update", (p) => p.invalidates("tasks.*", "sprints.*"))
      .policy("tasks.*", (p) => p.cached())
      .onInvalidation((e) => void events.push(e))
      .notificationSink((n) => void sent.push(n))
      .build();
    expect(layer).toBeInstanceOf(StateSyncLayer);
    expect(layer.engine.resolve("countries.list")).toEqual({ cacheControl: "immutable" });
    expect(layer.engine.resolve("tasks.update")).toEqual({
      cacheControl: "no-store",
      invalidates: ["tasks.*", "sprints.*"],
    });
    expect(layer.engine.resolve("other")).toEqual({ cacheControl: "no-store" });
    layer.decorateResult("tasks.update", { content: [] });
    expect([events.length, sent.length]).toEqual([1, 2]);
  });

  it("answers the same layer until it is changed", () => {
    const builder = new StateSyncBuilder().policy("a", (p) => p.cached());
    const layer = builder.layer;
    expect(builder.layer).toBe(layer);
    expect(builder.build()).not.toBe(layer);
    const mutators = [
      () => builder.policy("b", (p) => p.stale()),
      () => builder.defaults((p) => p.stale()),
      () => builder.onInvalidation(() => {}),
      () => builder.notificationSink(() => {}),
    ];
    for (const mutate of mutators) {
      const before = builder.layer;
      expect(mutate()).toBe(builder);
      expect(builder.layer).not.toBe(before);
      expect(builder.layer).toBe(builder.layer);
    }
    expect(layer.engine.resolve("b")).toBeNull();
    expect(builder.layer.engine.resolve("b")).toEqual({ cacheControl: "no-store" });
  });

  it("refuses a default that makes something stale, and says where it belongs", () => {
    expect(() => new StateSyncBuilder().defaults((p) => p.stale().invalidates("a.*"))).toThrow(".policy(");
  });

  it("validates at build", () => {
    expect(() => new StateSyncBuilder().policy("a..b", (p) => p.cached()).build()).toThrow("invalid segment");
  });

  it("makes a row for exactly one name where one name is given", () => {
    const { engine } = new StateSyncBuilder().policy("a.get", (p) => p.cached()).layer;
    expect(engine.explain("a.get")).toEqual({ index: 0, match: "a.get" });
    expect(engine.explain("a.list")).toBeNull();
  });
});
