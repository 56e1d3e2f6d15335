import { memoryDriver } from "../../state/drivers/memory.js";
import { driverSuite } from "./driver-suite.js";

driverSuite("memory", async () => {
  const kept = new Map<string, Uint8Array>();
  return { a: memoryDriver(kept), b: memoryDriver(kept), done: async () => {} };
});
