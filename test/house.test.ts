// The laws of the house (ARCHITECTURE.md, section 3), checked on the text of the sources and on the catalogue.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { lintPolicies } from "../policies/state-sync/index.js";
import { policyTable } from "../policies/table.js";
import { writeNames } from "../src/aws/executor.js";
import { createCatalogue } from "../src/catalogue.js";
import { CODES } from "../src/core/errors.js";
import { ANY_TOOL, USES } from "../src/iam/uses.js";
import { domains } from "../tools/index.js";

const ROOT = join(import.meta.dirname, "..");
const files = ["src", "tools", "policies", "state"]
  .flatMap((folder) => walk(join(ROOT, folder)))
  .map((path) => relative(ROOT, path));

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? walk(join(folder, entry.name)) : entry.name.endsWith(".ts") ? [join(folder, entry.name)] : [],
  );
}

interface Import {
  readonly file: string;
  readonly from: string;
  readonly typeOnly: boolean;
  readonly lazy: boolean;
}

const source = (file: string): string => readFileSync(join(ROOT, file), "utf8");
/** Comments may name what code may not. */
const code = (file: string): string =>
  source(file)
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/^\s*\/\/.*$/gm, "");

function importsOf(file: string): Import[] {
  const text = code(file);
  const found: Import[] = [];
  for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?([^;"']*?\sfrom\s+)?["']([^"']+)["']/gm)) {
    const names = /\{([^}]*)\}/.exec(match[2] ?? "")?.[1] ?? "";
    const allTypes =
      names.trim() !== "" &&
      names
        .split(",")
        .filter((name) => name.trim())
        .every((name) => name.trim().startsWith("type "));
    found.push({ file, from: match[3]!, typeOnly: Boolean(match[1]) || allTypes, lazy: false });
  }
  for (const match of text.matchAll(/import\(\s*["']([^"']+)["']\s*\)/g)) {
    found.push({ file, from: match[1]!, typeOnly: false, lazy: true });
  }
  return found;
}

const imports = files.flatMap(importsOf);
const target = ({ file, from }: Import): string | null =>
  from.startsWith(".") ? normalize(join(dirname(file), from)).replace(/\.js$/, ".ts") : null;

/** Floor of a file; the higher may import the lower. */
function floorOf(file: string): number {
  if (
    /^src\/(cli|serve|server|app|approve|audit-command|state-command|watch|scheduler|resource-uri|index|version)\.ts$/.test(
      file,
    ) ||
    /^src\/(demo|iam)\//.test(file)
  )
    return 4;
  if (/^src\/(pipeline|gate)\//.test(file) || /^src\/(catalogue|render|record)\.ts$/.test(file)) return 3;
  if (file.startsWith("tools/")) return 2;
  if (
    file.startsWith("state/") ||
    /^src\/(aws\/|audit\.|cache|session|scan|log|config|sqlite|tagging|redis|meters|security|runs|ship)/.test(file)
  )
    return 1;
  return 0;
}

const broken = (rule: string, lines: readonly string[]): void => {
  expect(lines, `${rule}\n${lines.join("\n")}\n`).toEqual([]);
};

describe("import law", () => {
  it("imports point down, or stay on their floor within one room", () => {
    const room = (file: string): string =>
      file.startsWith("src/core/")
        ? "core"
        : file.startsWith("src/")
          ? file
              .split("/")
              .slice(0, file.split("/").length > 2 ? 2 : 1)
              .join("/")
          : file.split("/")[0]!;
    const lines = imports.flatMap((one) => {
      const to = target(one);
      if (!to || to.endsWith("package.json")) return [];
      const [from, into] = [floorOf(one.file), floorOf(to)];
      const typesDown = one.typeOnly && into <= from;
      if (into < from || typesDown) return [];
      if (into === from && (room(one.file) === room(to) || from === 4 || from === 3)) return [];
      if (one.file === "src/config.ts" && to === "src/log.ts") return [];
      return [`${one.file} (floor ${from}) imports ${to} (floor ${into})`];
    });
    broken("A file imports from lower floors, or from its own room.", lines);
  });

  it("the ground floor imports nothing of ours", () => {
    const lines = imports.flatMap((one) => {
      const to = target(one);
      const room = one.file.startsWith("src/core/")
        ? "src/core/"
        : one.file.startsWith("policies/")
          ? "policies/"
          : null;
      return to && room && !to.startsWith(room) ? [`${one.file} imports ${to}`] : [];
    });
    broken("src/core and policies import nothing of ours but themselves.", lines);
  });

  it("domain files, pipeline steps and drivers do not import one another", () => {
    const lines = imports.flatMap((one) => {
      const to = target(one);
      if (!to) return [];
      const sideways = ["tools/", "src/pipeline/", "state/drivers/"].some(
        (room) => one.file.startsWith(room) && to.startsWith(room) && !one.file.endsWith("/index.ts"),
      );
      // A domain that is too long for one file has a folder of its own name, for itself alone.
      if (one.file.startsWith("tools/") && to.startsWith(one.file.replace(/\.ts$/, "/"))) return [];
      if (/^tools\/[^/]+\//.test(one.file) && dirname(one.file) === dirname(to)) return [];
      return sideways ? [`${one.file} imports ${to}`] : [];
    });
    broken("Rooms of alternatives are joined in their index only.", lines);
  });

  it("there are no import cycles", () => {
    const graph = new Map(
      files.map((file) => [
        file,
        importsOf(file)
          .filter((one) => !one.typeOnly)
          .map(target)
          .filter((to): to is string => to !== null),
      ]),
    );
    const lines: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        lines.push([...path.slice(path.indexOf(file)), file].join(" → "));
        return;
      }
      if (done.has(file)) return;
      for (const to of graph.get(file) ?? []) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    broken("No import cycles.", lines);
  });

  it.each([
    ["@aws-sdk values only in src/aws", /^@(aws-sdk|smithy)\//, (file: string) => file.startsWith("src/aws/")],
    [
      "the MCP SDK only in src/server.ts and the demo's client",
      /^@modelcontextprotocol\//,
      (file: string) => file === "src/server.ts" || file === "src/demo/client.ts",
    ],
    [
      "node:fs only in config, sqlite, log, the scanners' template, the sandbox's world file, the tagging files, the demo and the state drivers",
      /^(node:)?fs/,
      (file: string) =>
        /^src\/(config|sqlite|log|scan)\.ts$/.test(file) ||
        file.startsWith("state/drivers/") ||
        file === "src/aws/sandbox/world-file.ts" ||
        file === "src/tagging/files.ts" ||
        file.startsWith("src/demo/"),
    ],
    [
      "child processes only in the Git driver and for scanners",
      /^(node:)?child_process/,
      (file: string) => file === "state/drivers/git.ts" || file === "src/scan.ts",
    ],
    ["policies import zod only", /^(?!\.)/, (file: string) => !file.startsWith("policies/")],
  ] as const)("%s", (rule, pattern, allowed) => {
    const lines = imports
      .filter((one) => pattern.test(one.from) && !one.typeOnly && !allowed(one.file))
      .filter((one) => !(one.file.startsWith("policies/") && one.from === "zod"))
      .map((one) => `${one.file} imports ${one.from}`);
    broken(rule, lines);
  });
});

describe("effects", () => {
  it("process and stdout are touched in cli.ts only", () => {
    const lines = files
      .filter((file) => file !== "src/cli.ts")
      .filter((file) => /(?<![\w.$"'`/-])process\s*\.|console\./.test(code(file)));
    broken("Only src/cli.ts touches process or the console.", lines);
  });

  it("the clock and randomness come through ports", () => {
    const lines = files
      .filter((file) => file !== "src/cli.ts" && !file.startsWith("policies/state-sync/config"))
      .flatMap((file) =>
        /Date\.now\(|new Date\(\)|Math\.random\(|randomUUID|randomBytes|setInterval\(/.test(code(file)) ? [file] : [],
      );
    broken("No clock and no randomness but through ports.", lines);
  });

  it("a call that changes AWS is sent by the executor only", () => {
    const writes = writeNames().map((name) => name.split(":")[1]!);
    const called = new RegExp(`call\\(\\s*"\\w+",\\s*"(${writes.join("|")})"|\\b(${writes.join("|")})Command\\b`);
    broken(
      "Writes are rows of src/aws/writes, and the executor alone sends them.",
      files.filter((file) => called.test(code(file)) && !file.startsWith("src/aws/sandbox/")),
    );
  });

  it("KMS is asked by src/aws/kms.ts only, and only for what changes nothing", () => {
    const named = (file: string) => [...code(file).matchAll(/call\(\s*"kms",\s*"(\w+)"/g)].map(([, name]) => name!);
    expect(new Set(named("src/aws/kms.ts"))).toEqual(new Set(["GenerateDataKey", "Decrypt"]));
    const lines = files.filter(
      (file) =>
        !["src/aws/kms.ts", "src/aws/api.ts", "src/aws/clients.ts"].includes(file) &&
        (named(file).length > 0 || importsOf(file).some(({ from, typeOnly }) => /client-kms/.test(from) && !typeOnly)),
    );
    broken("Only src/aws/kms.ts calls KMS.", lines);
  });

  it("CloudWatch Logs is written by src/aws/logs.ts only, and only what is said of the server itself", () => {
    const named = (file: string) => [...code(file).matchAll(/call\(\s*"logs",\s*"(\w+)"/g)].map(([, name]) => name!);
    expect(new Set(named("src/aws/logs.ts"))).toEqual(new Set(["PutLogEvents", "CreateLogStream", "CreateLogGroup"]));
    broken(
      "Only src/aws/logs.ts calls CloudWatch Logs.",
      files.filter((file) => file !== "src/aws/logs.ts" && named(file).length > 0),
    );
  });
});

describe("form", () => {
  it("no star or default exports, no any outside core/tool.ts", () => {
    const lines = files.flatMap((file) => {
      const text = code(file);
      return [
        ...(/export \*(?! as)/.test(text) ? [`${file}: export *`] : []),
        ...(/export default/.test(text) ? [`${file}: export default`] : []),
        ...(file !== "src/core/tool.ts" && /[:<]\s*any\b|as any\b/.test(text) ? [`${file}: any`] : []),
      ];
    });
    broken("Named exports, no any.", lines);
  });

  it("every file opens with one line that says what it is", () => {
    broken(
      "The first line of a file is its module line.",
      files.filter((file) => !/^(#!.*\n)?\/\/ \S/.test(source(file))),
    );
  });
});

describe("the catalogue", () => {
  const catalogue = createCatalogue(domains, { allowWrites: true });

  it("lists every domain file", () => {
    const present = readdirSync(join(ROOT, "tools"))
      .filter((name) => name !== "index.ts" && name.endsWith(".ts"))
      .map((name) => name.replace(/\.ts$/, "").replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()));
    expect([...domains.map((domain) => domain.name)].sort()).toEqual(present.sort());
  });

  it.each(catalogue.entries.map((entry) => [entry.name, entry] as const))(
    "%s keeps the laws of a tool",
    (_name, entry) => {
      expect(entry.wire).toMatch(/^[a-z][A-Za-z0-9]*(_[a-z][A-Za-z0-9]*)+$/);
      expect(entry.wire.length).toBeLessThanOrEqual(40);
      expect(entry.tool.description.length).toBeLessThanOrEqual(600 - " [Cache-Control: no-store]".length);
      expect(entry.tool.description).not.toContain("Cache-Control");
    },
  );

  it("keeps a clean StateSync table", () => {
    const tools = catalogue.entries.map(({ name, tool }) => ({
      name,
      description: tool.description,
      kind:
        tool.kind === "plan"
          ? ("plan" as const)
          : tool.kind === "gate" && tool.changesAws
            ? ("apply" as const)
            : ("read" as const),
    }));
    const findings = lintPolicies(policyTable(tools), tools).filter(({ severity }) => severity !== "info");
    expect(findings).toEqual([]);
  });
});

describe("errors", () => {
  it("every code is used, and every code used is in the table", () => {
    const text = files.map(code).join("\n");
    const used = new Set(
      [...text.matchAll(/\b(?:OpsError|refused)\(\s*["'`]([a-z_]+)["'`]/g)].map((match) => match[1]!),
    );
    broken(
      "Codes that nothing raises",
      Object.keys(CODES).filter(
        (name) => !new RegExp(`["']${name}["']`).test(text.replace(source("src/core/errors.ts"), "")),
      ),
    );
    broken(
      "Codes outside the table",
      [...used].filter((name) => !(name in CODES)),
    );
  });
});

describe("what is asked of AWS", () => {
  const rows = Object.values(USES);

  it("every toolset that looks at AWS has its row", () => {
    const lines = domains
      .filter(({ name, tools }) => Object.values(tools).some(({ scope }) => scope === "region") && !(name in USES))
      .map(
        ({ name }) =>
          `${name}: give it a row in src/iam/uses.ts with the operations that its readers and its changes use`,
      );
    broken("IAM policies are made from src/iam/uses.ts.", lines);
  });

  it("every operation is somebody's", () => {
    const named = new Set<string>([...ANY_TOOL, ...rows.flatMap(({ reads, writes }) => [...reads, ...writes])]);
    const reads = files
      .filter((file) => /^src\/aws\/operations\/(?!index)/.test(file))
      .flatMap((file) => [...code(file).matchAll(/"([a-z0-9]+:[A-Z]\w+)":/g)].map(([, name]) => name!));
    expect(reads.length).toBeGreaterThan(30);
    const lines = [...reads, ...writeNames()]
      .filter((name) => !named.has(name))
      .map((name) => `${name}: name it in the row of the toolset that uses it, in src/iam/uses.ts`);
    broken("What no toolset names, no policy allows.", lines);
  });
});
