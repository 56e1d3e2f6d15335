// Tools about tools: every tool that is not listed is found and run from here, through the same pipeline.

import { z } from "zod";
import { data, domain, meta } from "../src/core/tool.js";

const search = meta({
  title: "Search all tools",
  description:
    "Find tools by words, also those not in your list: title, description and input schema of each. Then call it by name if your list has it, else with tools.run.",
  scope: "none",
  meta: "search",
  input: z.object({
    query: data(z.string().max(200)).default("").describe("Words; empty for all"),
    limit: z.number().int().min(1).max(100).default(10),
  }),
  output: z.object({ tools: z.array(z.record(z.string(), z.unknown())), count: z.number() }),
});

const run = meta({
  title: "Run any tool",
  description: "Call a tool found by tools.search. Same checks, same answer as a direct call.",
  scope: "none",
  meta: "run",
  input: z.object({
    tool: z.string().min(1).describe("Name from tools.search"),
    arguments: z.record(z.string(), z.unknown()).default({}),
  }),
  output: z.object({}),
});

export const tools = domain("tools", { search, run }, ["search", "run"]);
