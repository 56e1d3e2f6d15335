// Confirms the list of moto's faults on the pinned release: an entry that is no longer wrong must leave the list.
import { afterAll, describe, expect, test } from "vitest";
import { knownWrong } from "./known-wrong.js";
import { motoFor } from "./moto.js";
import { rawAws } from "./raw-aws.js";

const moto = await motoFor("known faults of moto");

describe.skipIf(!moto)("moto is still wrong about", () => {
  afterAll(() => moto?.stop());

  test.each(
    knownWrong.map(
      (fault) => [`${fault.service} ${fault.operation}: ${fault.moto} (AWS: ${fault.aws})`, fault] as const,
    ),
  )("%s", async (name, { probe }) => {
    await moto!.reset();
    const aws = rawAws(moto!.endpoint);
    const isStillWrong = await probe({ aws, endpoint: moto!.endpoint, enforceIam: () => moto!.enforceIam() });
    expect(isStillWrong, `Fixed in this moto, so remove it from known-wrong/: ${name}`).toBe(true);
  });
});
