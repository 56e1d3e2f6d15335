// Tags of what is made of a database.

import type { JsonObject } from "../../src/core/json.js";
import type { Mode } from "../../src/core/ports.js";
import { OPERATION_MARK } from "../../src/core/tags.js";

const MARK = { Key: OPERATION_MARK, Value: "" };

/** Tags of what is made: those given first, the server's own, and the mark by which it is found again. */
export const tagList = (given: Readonly<Record<string, string>>, { defaultTags }: Mode): JsonObject[] => [
  ...Object.entries({ ...defaultTags, ...given })
    .filter(([key]) => !key.startsWith("aws:") && key !== OPERATION_MARK)
    .map(([Key, Value]) => ({ Key, Value })),
  ...(defaultTags ? [MARK] : []),
];
