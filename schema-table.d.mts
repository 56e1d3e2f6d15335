// Types of schema-table.mjs, for vitest.config.ts and the tests.

import type { Plugin as BuildPlugin } from "esbuild";
import type { Plugin } from "vitest/config";

export const NOTICE: string;
export const schemaData: BuildPlugin;
export const schemaDataForTests: Plugin;
export function schemaTable(): {
  readonly source: string;
  readonly types: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};
