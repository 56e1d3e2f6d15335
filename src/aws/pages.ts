// All pages of a paged call. A page that repeats its own token ends in an error rather than a loop.

import { OpsError } from "../core/errors.js";

export async function allPages<Output, Item>(
  page: (token: string | undefined) => Promise<Output>,
  items: (output: Output) => readonly Item[] | undefined,
  next: (output: Output) => string | undefined,
): Promise<Item[]> {
  const found: Item[] = [];
  let token: string | undefined;
  do {
    const output = await page(token);
    found.push(...(items(output) ?? []));
    const following = next(output) || undefined;
    if (following !== undefined && following === token) {
      throw new OpsError(
        "aws_unavailable",
        "AWS repeated a page of its answer, so the list is not complete. Call again.",
      );
    }
    token = following;
  } while (token !== undefined);
  return found;
}
