// Section 5: one directive at the end of the description.
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { decorateDescription, StateSyncLayer } from "../../policies/state-sync/index.js";

const NO_STORE = { cacheControl: "no-store" } as const;
const IMMUTABLE = { cacheControl: "immutable" } as const;

describe("decorateDescription", () => {
  test.each([
    ["Manage workspace sprints.", "Manage workspace sprints. [Cache-Control: no-store]"],
    ["", "[Cache-Control: no-store]"],
    [undefined, "[Cache-Control: no-store]"],
    ["  \n ", "[Cache-Control: no-store]"],
    ["Text.  \n", "Text. [Cache-Control: no-store]"],
    ["Text. [Cache-Control: no-store]", "Text. [Cache-Control: no-store]"],
    ["Text. [Cache-Control: immutable]", "Text. [Cache-Control: no-store]"],
    ["Text. [Cache-Control: immutable] [Cache-Control: no-store]  ", "Text. [Cache-Control: no-store]"],
    ["Text.[Cache-Control: immutable][Cache-Control: immutable]", "Text. [Cache-Control: no-store]"],
    ["Text. [Cache-Control: max-age=60]", "Text. [Cache-Control: no-store]"],
    ["[Cache-Control: immutable]", "[Cache-Control: no-store]"],
    [
      "Says [Cache-Control: immutable] in the middle.",
      "Says [Cache-Control: immutable] in the middle. [Cache-Control: no-store]",
    ],
    ["Text. [Cache-Control: a] or b]", "Text. [Cache-Control: a] or b] [Cache-Control: no-store]"],
    ["See [docs]", "See [docs] [Cache-Control: no-store]"],
    ["]", "] [Cache-Control: no-store]"],
    ["[Cache-Control: no-store", "[Cache-Control: no-store [Cache-Control: no-store]"],
  ])("%j becomes %j", (description, expected) => {
    expect(decorateDescription({ name: "t", description }, NO_STORE).description).toBe(expected);
  });

  it("answers the same tool where no directive holds", () => {
    const tool = { name: "t", description: "Text." };
    expect(decorateDescription(tool, null)).toBe(tool);
    expect(decorateDescription(tool, { invalidates: ["a.*"] })).toBe(tool);
  });

  it("copies, keeps every other field, and leaves the input alone", () => {
    const inputSchema = { type: "object" };
    const tool = Object.freeze({
      name: "t",
      description: "Text.",
      inputSchema,
      annotations: { readOnlyHint: true },
      _meta: { a: 1 },
    });
    const decorated = decorateDescription(tool, IMMUTABLE);
    expect(decorated).not.toBe(tool);
    expect(decorated).toEqual({ ...tool, description: "Text. [Cache-Control: immutable]" });
    expect(decorated.inputSchema).toBe(inputSchema);
    expect(tool.description).toBe("Text.");
  });

  it("can leave a blank in front of a bare tag", () => {
    expect(decorateDescription({ name: "t" }, NO_STORE, { emptyDescription: "space-tag" }).description).toBe(
      " [Cache-Control: no-store]",
    );
    expect(
      decorateDescription({ name: "t", description: "T." }, NO_STORE, { emptyDescription: "space-tag" }).description,
    ).toBe("T. [Cache-Control: no-store]");
    expect(decorateDescription({ name: "t" }, NO_STORE, { emptyDescription: "tag" }).description).toBe(
      "[Cache-Control: no-store]",
    );
  });

  it("is idempotent, and the last directive wins", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom(NO_STORE, IMMUTABLE),
        fc.constantFrom(NO_STORE, IMMUTABLE),
        (description, first, second) => {
          const once = decorateDescription({ name: "t", description }, second);
          const twice = decorateDescription(decorateDescription({ name: "t", description }, first), second);
          expect(twice).toEqual(once);
          expect(decorateDescription(once, second)).toEqual(once);
        },
      ),
    );
  });

  it("is linear in runs of blanks: a thousand plain passes over the text are not enough for a quadratic one", () => {
    const hostile = `${" ".repeat(300_000)}x`;
    let baseline = performance.now();
    let blanks = 0;
    for (let i = 0; i < hostile.length; i++) if (hostile.charCodeAt(i) === 32) blanks++;
    baseline = performance.now() - baseline;
    expect(blanks).toBe(300_000);
    const started = performance.now();
    const decorated = decorateDescription({ name: "t", description: hostile }, NO_STORE);
    const took = performance.now() - started;
    expect(decorated.description).toBe(`${hostile} [Cache-Control: no-store]`);
    expect(took).toBeLessThan(1000 * Math.max(baseline, 1));
  });

  it("removes any number of trailing directives", () => {
    const tags = "[Cache-Control: no-store]  ".repeat(20_000);
    expect(decorateDescription({ name: "t", description: `x ${tags}` }, NO_STORE).description).toBe(
      "x [Cache-Control: no-store]",
    );
  });
});

describe("StateSyncLayer.decorateTools", () => {
  const layer = () =>
    new StateSyncLayer({
      policies: [{ match: "regions.*", cacheControl: "immutable" }],
      defaults: { cacheControl: "no-store" },
    });

  it("decorates each tool by its policy and keeps the order", () => {
    const tools = [
      { name: "z.list" },
      { name: "regions.list", description: "Regions." },
      { name: "a.list", description: "A." },
    ];
    expect(layer().decorateTools(tools)).toEqual([
      { name: "z.list", description: "[Cache-Control: no-store]" },
      { name: "regions.list", description: "Regions. [Cache-Control: immutable]" },
      { name: "a.list", description: "A. [Cache-Control: no-store]" },
    ]);
    expect(tools[0]).toEqual({ name: "z.list" });
  });

  it("answers the same tools where nothing is configured", () => {
    const tool = { name: "a", description: "A." };
    expect(new StateSyncLayer({ policies: [] }).decorateTools([tool])[0]).toBe(tool);
  });

  it("caches by tool object, never by name: a new schema under the same name is served", () => {
    const sync = layer();
    const first = { name: "a", inputSchema: { v: 1 } };
    const second = { name: "a", inputSchema: { v: 2 } };
    const [served] = sync.decorateTools([first]);
    expect(sync.decorateTools([first])[0]).toBe(served);
    expect(sync.decorateTools([second])[0]?.inputSchema).toEqual({ v: 2 });
    expect(sync.decorateTools([first])[0]).toBe(served);
  });

  it("notices a tool edited in place", () => {
    const sync = layer();
    const tool: { name: string; description: string; inputSchema: object; title?: string } = {
      name: "a",
      description: "A.",
      inputSchema: { v: 1 },
    };
    sync.decorateTools([tool]);
    tool.inputSchema = { v: 2 };
    tool.title = "New";
    expect(sync.decorateTools([tool])[0]).toEqual({
      name: "a",
      description: "A. [Cache-Control: no-store]",
      inputSchema: { v: 2 },
      title: "New",
    });
    tool.name = "regions.list";
    expect(sync.decorateTools([tool])[0]?.description).toBe("A. [Cache-Control: immutable]");
    delete tool.title;
    expect(sync.decorateTools([tool])[0]).not.toHaveProperty("title");
  });

  it("resolves wire names through the name map, in lists as in calls", () => {
    const sync = new StateSyncLayer({
      policies: [{ match: "regions.*", cacheControl: "immutable", invalidates: ["regions.*"] }],
      names: { toWire: (n) => n.replaceAll(".", "_"), toCanonical: (n) => n.replaceAll("_", ".") },
    });
    for (const name of ["regions_list", "regions.list"]) {
      expect(sync.decorateTools([{ name }])[0]?.description).toBe("[Cache-Control: immutable]");
      expect(sync.decorateResult(name, { content: [] as { text: string }[] }).content[0]?.text).toContain(
        "caused by regions_list]",
      );
    }
  });

  it("reports a name over the limits, and decorates it all the same", () => {
    const problems: unknown[] = [];
    const sync = new StateSyncLayer({
      policies: [],
      defaults: { cacheControl: "no-store" },
      onError: (e, where) => problems.push([String(e), where]),
    });
    const name = "n".repeat(129);
    expect(
      sync.decorateTools([{ name }, { name: Array(33).fill("a").join(".") }, { name: "ok" }]).map((t) => t.description),
    ).toEqual(Array(3).fill("[Cache-Control: no-store]"));
    expect(problems).toHaveLength(2);
    expect(problems[0]).toEqual([expect.stringContaining("over 128 characters or 32 segments"), "decorate"]);
  });

  it("serves a tool undecorated rather than failing the list", () => {
    const problems: unknown[] = [];
    const sync = new StateSyncLayer({
      policies: [],
      defaults: { cacheControl: "no-store" },
      onError: (e) => problems.push(e),
    });
    const bad = {
      name: "bad",
      get description(): string {
        throw new Error("getter");
      },
    };
    const tools = sync.decorateTools([bad, { name: "good" }]);
    expect(tools[0]).toBe(bad);
    expect(tools[1]?.description).toBe("[Cache-Control: no-store]");
    expect(problems).toHaveLength(1);
  });
});
