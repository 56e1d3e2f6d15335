// Documents outside the state: created whole and durably, or not at all.

import { open, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { createDocument } from "../../state/drivers/document.js";
import { temporaryFolder } from "../harness.js";

describe("a document", () => {
  /** Opens files whose syncs are told, and fail where they are to. */
  const watched =
    (synced: string[], fails = false): typeof open =>
    async (path, flags, mode) => {
      const file = await open(path, flags, mode);
      const sync = file.sync.bind(file);
      file.sync = async () => {
        if (fails) throw Object.assign(new Error("EIO"), { code: "EIO" });
        synced.push(String(path));
        await sync();
      };
      return file;
    };

  it("is durable with its name: the file is synced, then its folder", async () => {
    const folder = temporaryFolder();
    const path = join(folder.path, "export.json");
    const synced: string[] = [];
    await createDocument(path, Buffer.from("{}"), watched(synced));
    expect(synced).toEqual([path, dirname(path)]);
    expect(await readFile(path, "utf8")).toBe("{}");
    await expect(createDocument(path, Buffer.from("other"))).rejects.toMatchObject({ code: "already_exists" });
    expect(await readFile(path, "utf8")).toBe("{}");
    folder.remove();
  });

  it("that could not be written is not there, so that the same name can be tried again", async () => {
    const folder = temporaryFolder();
    const path = join(folder.path, "export.json");
    const failed = createDocument(path, Buffer.from("{}"), watched([], true));
    await expect(failed).rejects.toThrow("cannot be written (EIO)");
    expect(await readdir(folder.path)).toEqual([]);
    folder.remove();
  });
});
