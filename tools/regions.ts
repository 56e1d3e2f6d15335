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
  output: z.object({
    count: z.number(),
    enabled: z.number().describe("Regions the account may use now"),
    regions: z.array(Region),
  }),
  async run(_input, { aws, cached }) {
    const { value: regions } = await cached("regions", { ask: {} }, async () => ({
      value: (await aws.regions()).map((region) => ({ ...region })),
      whole: true,
    }));
    const enabled = regions.filter(({ optIn }) => optIn !== "not-opted-in").length;
    return { data: { count: regions.length, enabled, regions } };
  },
});

export const regions = domain("regions", { list }, []);
