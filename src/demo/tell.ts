// The demo on a terminal: who said what, and what the assistant was told, in few lines.

import { isObject, type Json, type JsonObject } from "../core/json.js";
import type { Told } from "./client.js";
import type { Verdict } from "./scenes.js";

const WIDTH = 150;

export function teller(write: (text: string) => void, colour: boolean) {
  const paint = (code: number) => (text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const [bold, dim, red, green, yellow, cyan] = [1, 2, 31, 32, 33, 36].map(paint) as [P, P, P, P, P, P];
  const line = (text = ""): void => write(`${text}\n`);
  const speakers = { operator: yellow, outsider: red, assistant: cyan };

  return {
    opening() {
      line(bold("aws-devops-mcp demo"));
      line(
        "A real server process on the sandbox (demo data, not AWS, not an emulator), a real MCP client, and an outsider who changes the account between the turns.",
      );
    },
    scene(title: string) {
      line();
      line(bold(`── ${title} ${"─".repeat(Math.max(3, 100 - title.length))}`));
    },
    says(who: keyof typeof speakers, what: string) {
      line(`${speakers[who](who.padEnd(10))} ${what}`);
    },
    asks(tool: string, given: JsonObject) {
      line(`${cyan("assistant".padEnd(10))} ${bold(tool)} ${dim(short(given))}`);
    },
    told(told: Told) {
      const mark = told.isError ? red("refused") : green("answer");
      for (const [index, text] of linesOf(told).entries())
        line(`  ${index === 0 ? mark : " ".repeat(told.isError ? 7 : 6)} ${text}`);
    },
    verdict({ held, because }: Verdict) {
      line(`${held ? green("HELD") : red("NOT HELD")}: ${because}`);
    },
    closing(verdicts: ReadonlyArray<Verdict & { name: string }>) {
      line();
      for (const { name, held } of verdicts) line(`${held ? green("held    ") : red("NOT held")}  ${name}`);
    },
  };
}
type P = (text: string) => string;

/** What the assistant is told, most important first. */
function linesOf({ data, text, isError }: Told): string[] {
  const lines = text.filter((block) => block.startsWith("[System:"));
  if (isError) lines.push(`${data.code}: ${data.message}`);
  for (const { path, by, at } of isError ? list(data.changed) : []) {
    const author = isObject(by) ? (by.session ?? by.principal ?? by.because) : undefined;
    if (author !== undefined) lines.push(`changed by ${author}${at ? ` at ${at}` : ""}: ${path}`);
  }
  for (const notice of list(data.staleNotices)) {
    lines.push(`STALE ${notice.what}: you saw ${short(notice.youSaw)}, now ${short(notice.now)}`);
  }
  const change = isObject(data.change) ? data.change : undefined;
  if (change) {
    const risk = isObject(change.risk) ? ` [risk ${change.risk.level}]` : "";
    lines.push(`${data.planned ? "planned, nothing changed yet: " : `${change.state}: `}${change.summary}${risk}`);
    for (const warning of Array.isArray(change.warnings) ? change.warnings : []) lines.push(`warning: ${warning}`);
  }
  if (!isError && !change) {
    const { staleNotices: _s, stateSync: _y, asOf: _a, account: _c, region: _r, sandbox: _b, ...rest } = data;
    lines.push(short(rest as JsonObject));
  }
  return lines.length > 0
    ? lines.map((line) => (line.length > WIDTH * 4 ? `${line.slice(0, WIDTH * 4)}…` : line))
    : ["{}"];
}

const list = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? (value as readonly JsonObject[]) : [];

function short(value: Json | undefined): string {
  const text = JSON.stringify(value ?? null);
  return text.length <= WIDTH ? text : `${text.slice(0, WIDTH)}…`;
}
