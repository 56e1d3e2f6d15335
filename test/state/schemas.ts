// A resource schema for a test: empty but for what the test is about.

import type { ResourceSchema } from "../../src/core/content.js";

export const schema = (more: Partial<ResourceSchema>): ResourceSchema => ({
  type: "AWS::Test::Thing",
  source: "registry",
  primaryIdentifier: [],
  readOnly: [],
  writeOnly: [],
  createOnly: [],
  required: [],
  unordered: [],
  tags: { property: "Tags", shape: "list" },
  properties: {},
  listRequires: [],
  ...more,
});
