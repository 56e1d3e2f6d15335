// Documents outside the state that a person names in a terminal: read whole, or created and never replaced. No tool reaches them.

import { open, readFile, rm, stat } from "node:fs/promises";
import { dirname, sep } from "node:path";
import { OpsError } from "../../src/core/errors.js";

/** A larger file is not a document of ours. */
const MOST_BYTES = 512 * 1024 * 1024;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? "unknown error";

/** @throws OpsError `validation_error` naming the file where it is missing, cannot be read, or is no file. */
export async function readDocument(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > MOST_BYTES) throw refused(path, `is larger than ${MOST_BYTES} bytes`);
    return await readFile(path);
  } catch (error) {
    throw error instanceof OpsError ? error : refused(path, `cannot be read (${codeOf(error)})`, error);
  }
}

/** Creates the file, mode 0600, durably, or none. @throws OpsError `already_exists` where something has this name. */
export async function createDocument(path: string, bytes: Uint8Array, openFile = open): Promise<void> {
  try {
    const file = await openFile(path, "wx", 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    // Its name is durable with the folder. Windows syncs no folders.
    if (sep === "/") {
      const folder = await openFile(dirname(path), "r");
      await folder.sync().finally(() => folder.close());
    }
  } catch (error) {
    if (codeOf(error) === "EEXIST") {
      throw new OpsError(
        "already_exists",
        `${path} exists and was left as it is. Nothing was written; name another file.`,
        {
          field: "out",
        },
      );
    }
    throw refused(path, `cannot be written (${codeOf(error)})`, error);
  }
}

const refused = (path: string, because: string, cause?: unknown): OpsError =>
  new OpsError("validation_error", `${path} ${because}. Nothing was changed.`, { field: "file", cause });
