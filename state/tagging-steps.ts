// Tags of one resource of any type, as calls of the Resource Groups Tagging API: it merges, and replaces no set.

import type { ChangeStep, Seen } from "../src/core/change.js";
import { escapePointer, isObject, type Json, type JsonObject } from "../src/core/json.js";

export interface TagChange {
  readonly set: Readonly<Record<string, string>>;
  readonly remove: readonly string[];
}

/** Tags of one call, and of one resource beside those of AWS. */
const MOST_TAGS = 50;

type Pair = { readonly Key: string; readonly Value: string };

/** A property of tags with some set and some gone, in the shape it has: a map, or a list of Key and Value. */
function changed(value: Json | undefined, shape: "map" | "list", { set, remove }: TagChange): Json {
  if (isObject(value) || (value === undefined && shape === "map")) {
    const kept = Object.entries(value ?? {}).filter(([key]) => !remove.includes(key));
    return { ...Object.fromEntries(kept), ...set };
  }
  const list = (Array.isArray(value) ? value : []) as unknown as readonly Pair[];
  const kept = list
    .filter(({ Key }) => !remove.includes(Key))
    .map((pair) => (Object.hasOwn(set, pair.Key) ? { ...pair, Value: set[pair.Key]! } : pair));
  const added = Object.entries(set).filter(([key]) => !list.some(({ Key }) => Key === key));
  return [...kept, ...added.map(([Key, Value]) => ({ Key, Value }))] as unknown as Json;
}

/** The keys that AWS counts. */
const heldIn = (value: Json | undefined): readonly string[] => {
  const keys = isObject(value) ? Object.keys(value) : ((value ?? []) as unknown as Pair[]).map(({ Key }) => Key);
  return keys.filter((key) => !key.startsWith("aws:"));
};

/**
 * Sets first, then removes; the other way round where AWS would refuse the one tag too many. Each step is about one resource, and touches the keys it names alone: whoever changes another
 * tag meanwhile is not in its way. Equal steps of several resources go out in one call.
 */
export function taggingSteps(
  { ref, reader, content }: Pick<Seen, "ref" | "reader" | "content">,
  arn: string,
  change: TagChange,
  { property, shape }: { readonly property: string; readonly shape: "map" | "list" } = {
    property: "tags",
    shape: "map",
  },
): readonly ChangeStep[] {
  const steps: ChangeStep[] = [];
  let current = content;
  const put = (operation: string, input: JsonObject, part: TagChange): void => {
    const keys = [...Object.keys(part.set), ...part.remove];
    const after = { ...current, [property]: changed(current[property], shape, part) };
    steps.push({
      service: "tagging",
      operation,
      input: { ResourceARNList: [arn], ...input },
      ref,
      reader,
      kind: "update",
      before: current,
      after,
      touches: keys.map((key) => `/${property}/${escapePointer(key)}`),
      ...(part.remove.length === 0 && { desired: { [property]: changed(undefined, shape, part) } }),
    });
    current = after;
  };
  const pairs = Object.entries(change.set).sort(([a], [b]) => (a < b ? -1 : 1));
  const sets = (): void => {
    for (let begin = 0; begin < pairs.length; begin += MOST_TAGS) {
      const Tags = Object.fromEntries(pairs.slice(begin, begin + MOST_TAGS));
      put("TagResources", { Tags }, { set: Tags, remove: [] });
    }
  };
  const gone = [...change.remove].sort();
  const removes = (): void => {
    for (let begin = 0; begin < gone.length; begin += MOST_TAGS) {
      const TagKeys = gone.slice(begin, begin + MOST_TAGS);
      put("UntagResources", { TagKeys }, { set: {}, remove: TagKeys });
    }
  };
  const most = new Set([...heldIn(content[property]), ...Object.keys(change.set)]).size;
  for (const part of most > MOST_TAGS ? [removes, sets] : [sets, removes]) part();
  return steps;
}
