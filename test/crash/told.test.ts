// What is told of another process's commit lasts: its writer may have been killed before the commit's name was durable.

import { expect, it } from "vitest";
import { fileDriver } from "../../state/drivers/file.js";
import { openStore } from "../../state/journal.js";
import { owner, plan } from "../state/helpers.js";
import { Disk } from "./disk.js";
import { machineClock, ROOT, seededIds } from "./scenario.js";

it("a commit that was answered from survives a power cut, also where its writer was killed right after naming it", async () => {
  const clock = machineClock();
  const disk = new Disk(() => clock.now().getTime());
  const process = (on: Disk, pid: number) => {
    const ids = seededIds(pid);
    const driver = fileDriver({ root: ROOT }, { clock, ids, fs: on.port });
    return openStore({ driver, clock, ids, owner: owner(`session-${pid}`, pid), user: "alice" });
  };
  const first = await process(disk, 1);
  await first.commit((_, seq) => [plan(seq).event]);
  let named = false;
  disk.afterMade = (path) => {
    named ||= path.includes("journal/");
  };
  disk.beforeCall = () => {
    if (named) throw new Error("killed");
  };
  await first.commit((_, seq) => [plan(seq).event]).catch(() => null);
  disk.beforeCall = () => {};
  expect(named).toBe(true);
  const killed = disk.clone();
  const lost = async (on: Disk): Promise<number> => {
    let count = 0;
    for (const world of on.worlds("ordered")) {
      if ((await (await process(world.disk, 3)).state()).seq < 2) count++;
    }
    return count;
  };
  expect(await lost(killed), "it could have been lost before anybody read it").toBeGreaterThan(0);
  const second = await process(killed, 2);
  expect((await second.state()).seq).toBe(2);
  expect(await lost(killed)).toBe(0);
});
