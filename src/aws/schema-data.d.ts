// The shipped schema table as the build and vitest serve it: gzipped JSON in base64. Made by schema-table.mjs.

export const TABLE: string;
