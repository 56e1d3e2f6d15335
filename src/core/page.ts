// A page of what AWS lists.

export interface Page<T> {
  readonly items: readonly T[];
  /** AWS's own token for the next page. */
  readonly next?: string;
}
