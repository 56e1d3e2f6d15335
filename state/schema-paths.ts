// Pointers of a resource schema (`*` = any element) matched against pointers of a document. Pure.

import { pointerSegments } from "../src/core/json.js";

const cache = new Map<string, readonly string[]>();

function segmentsOf(pattern: string): readonly string[] {
  let segments = cache.get(pattern);
  if (!segments) {
    segments = pointerSegments(pattern.replace(/^\/properties(?=\/)/, ""));
    cache.set(pattern, segments);
  }
  return segments;
}

const same = (pattern: string, segment: string): boolean => pattern === "*" || pattern === segment;

/** Whether the path is what a pattern names, or lies below it. */
export function isUnder(patterns: readonly string[], path: string): boolean {
  const segments = pointerSegments(path);
  return patterns.some((pattern) => {
    const wanted = segmentsOf(pattern);
    return wanted.length <= segments.length && wanted.every((part, at) => same(part, segments[at]!));
  });
}

/** Whether the path is exactly what a pattern names. */
export function isAt(patterns: readonly string[], path: string): boolean {
  const segments = pointerSegments(path);
  return patterns.some((pattern) => {
    const wanted = segmentsOf(pattern);
    return wanted.length === segments.length && wanted.every((part, at) => same(part, segments[at]!));
  });
}

/** Whether a pattern names something below the path. */
export function hasBelow(patterns: readonly string[], path: string): boolean {
  const segments = pointerSegments(path);
  return patterns.some((pattern) => {
    const wanted = segmentsOf(pattern);
    return wanted.length > segments.length && segments.every((part, at) => same(wanted[at]!, part));
  });
}
