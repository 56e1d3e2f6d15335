// Regions: what the account may use. Reference data: read once.

import { z } from "zod";
import { Region } from "../src/core/content.js";
import { domain, read } from "../src/core/tool.js";

const list = read({
  title: "List AWS regions",
  description: "All regions of the partition with their opt-in status. Reference data: reading it once is enough.",
  scope: "region",
  foreignText: false,
  input: z.object({}),
  output: z.object({ regions: z.array(Region), count: z.number() }),
  async run(_input, { aws }) {
    const regions = await aws.regions();
    return { data: { regions: regions.map((region) => ({ ...region })), count: regions.length } };
  },
});

export const regions = domain("regions", { list }, ["list"]);
