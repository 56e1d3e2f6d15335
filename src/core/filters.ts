// Values of EC2's filters: `*` and `?` stand for other characters unless they are escaped. Pure.

/** @example literal("a*b") // "a\\*b" */
export const literal = (value: string): string => value.replace(/[\\*?]/g, "\\$&");
