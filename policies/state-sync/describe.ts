// The static half of the signal: one cache directive at the end of a tool's description, never two, never in a changing text.
import type { ResolvedPolicy } from "./policy.js";

/** A tool as far as this module looks at it. Every other field is carried through. */
export interface ToolLike {
  readonly name: string;
  readonly description?: string | undefined;
}

export interface DescribeOptions {
  /** What a tool without a description gets: the bare tag, or the tag behind one blank. */
  readonly emptyDescription?: "tag" | "space-tag" | undefined;
}

const OPENING = "[Cache-Control: ";

/**
 * A copy whose description ends in the policy's directive; the same tool if the policy has none.
 *
 * @example
 * const tool = { name: "sprints.list", description: "List sprints." };
 * decorateDescription(tool, { cacheControl: "no-store" }).description; // => "List sprints. [Cache-Control: no-store]"
 * decorateDescription(tool, null) === tool; // => true
 */
export function decorateDescription<T extends ToolLike>(
  tool: T,
  policy: ResolvedPolicy | null,
  opts: DescribeOptions = {},
): T & ToolLike {
  if (!policy?.cacheControl) return tool;
  const text = typeof tool.description === "string" ? undecorated(tool.description) : "";
  const gap = text !== "" || opts.emptyDescription === "space-tag" ? " " : "";
  return { ...tool, description: `${text}${gap}${OPENING}${policy.cacheControl}]` };
}

/** The description without trailing blanks and directives. By index: a regular expression over runs of blanks is quadratic. */
export function undecorated(description: string): string {
  let text = description.trimEnd();
  while (text.endsWith("]")) {
    const start = text.lastIndexOf("[");
    if (!text.startsWith(OPENING, start) || text.indexOf("]", start) !== text.length - 1) break;
    text = text.slice(0, start).trimEnd();
  }
  return text;
}

/** Whether a directive stands where only the description's author can have put it. */
export function hasPlantedDirective(description: string): boolean {
  return undecorated(description).includes(OPENING.trimEnd());
}
