// Changes an answer on its way back: statuses that linger, and timestamps an emulator writes wrongly.

/** Every `field` reads as `value`. "a/b" means b directly somewhere inside a. */
export function withStatus(body: string, field: string, value: string): string {
  return body.trimStart().startsWith("<")
    ? xmlWith(body, field.split("/"), value)
    : jsonWith(body, field.split("/"), value);
}

function xmlWith(body: string, [name, ...inner]: string[], value: string): string {
  const element = new RegExp(`(<${name}(?:\\s[^>]*)?>)([\\s\\S]*?)(</${name}>)`, "g");
  return body.replace(element, (_, open: string, content: string, close: string) => {
    return `${open}${inner.length > 0 ? xmlWith(content, inner, value) : value}${close}`;
  });
}

function jsonWith(body: string, path: string[], value: string): string {
  const set = (node: unknown, [name, ...inner]: string[]): unknown => {
    if (Array.isArray(node)) return node.map((item) => set(item, [name!, ...inner]));
    if (typeof node !== "object" || node === null) return node;
    return mapFields(node, (key, field) => {
      if (key !== name) return set(field, [name!, ...inner]);
      return inner.length > 0 ? set(field, inner) : value;
    });
  };
  return JSON.stringify(set(JSON.parse(body), path));
}

const iso = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/;

/** ISO timestamps become the epoch seconds that AWS's JSON protocols send. */
export function withEpochTimes(body: string): string {
  const convert = (node: unknown): unknown => {
    if (typeof node === "string" && iso.test(node))
      return Date.parse(/[Z+]|-\d\d:?\d\d$/.test(node) ? node : `${node}Z`) / 1000;
    if (Array.isArray(node)) return node.map(convert);
    if (typeof node === "object" && node !== null) return mapFields(node, (_, field) => convert(field));
    return node;
  };
  return JSON.stringify(convert(JSON.parse(body)));
}

function mapFields(node: object, change: (key: string, value: unknown) => unknown): Record<string, unknown> {
  return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, change(key, value)]));
}
