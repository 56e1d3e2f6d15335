// May one more key appear in a structured answer? Clients reject an undeclared key, and then a successful change shows as an error.

const UNDECIDED = ["$ref", "$dynamicRef", "not", "if", "oneOf", "dependentSchemas", "propertyNames", "maxProperties"];

/** True only if the JSON Schema (absent, open, or declaring the key) certainly accepts an object with this key. */
export function admits(schema: unknown, key: string): boolean {
  if (schema === undefined || schema === true) return true;
  if (!isPlainObject(schema) || UNDECIDED.some((keyword) => keyword in schema)) return false;
  for (const branches of [schema.allOf, schema.anyOf]) {
    if (Array.isArray(branches) && !branches.every((branch) => admits(branch, key))) return false;
  }
  if (isPlainObject(schema.properties) && Object.hasOwn(schema.properties, key))
    return schema.properties[key] !== false;
  if (schema.patternProperties !== undefined) return false;
  return isOpen(schema.additionalProperties) && isOpen(schema.unevaluatedProperties);
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isOpen(rest: unknown): boolean {
  return rest === undefined || rest === true || (isPlainObject(rest) && Object.keys(rest).length === 0);
}
