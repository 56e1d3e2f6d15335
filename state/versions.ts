// Which version "the one before" is: by what AWS recorded of deployments, never by what somebody remembers. Pure.

/** A deployment, as far as this question goes. */
export interface Past {
  readonly deploymentId: string;
  readonly version: string;
  readonly status: string;
  readonly createdAt: string;
}

export interface Before<D extends Past> {
  /** The deployment that brought what runs now; null where the record does not reach back to it. */
  readonly running: D | null;
  /** The newest success of another version before it; null where there is none. */
  readonly previous: D | null;
  /** Everything deployed after `previous`, newest first, whatever became of it. */
  readonly since: readonly D[];
}

/**
 * The version that ran before the running one: the last one deployed successfully before it. Failures and versions that were
 * rolled back never ran as a whole, so they are never "previous"; neither is another deployment of the running version.
 * @param history newest first
 * @example versionBefore([{ deploymentId: "2", version: "b", status: "succeeded", createdAt: "2" }, { deploymentId: "1", version: "a", status: "succeeded", createdAt: "1" }], "b").previous?.version // "a"
 */
export function versionBefore<D extends Past>(history: readonly D[], version: string): Before<D> {
  const good = (one: D): boolean => one.status === "succeeded";
  const at = history.findIndex((one) => good(one) && one.version === version);
  if (at < 0) return { running: null, previous: null, since: [] };
  const previous = history.slice(at + 1).find((one) => good(one) && one.version !== version) ?? null;
  return {
    running: history[at]!,
    previous,
    since: previous ? history.slice(0, history.indexOf(previous)) : history.slice(0, at + 1),
  };
}

/** The newest deployment that a name means: a version, a deployment's id, an image of it, or the tag of one. */
export function named<D extends Past & { readonly images?: Readonly<Record<string, string>> | undefined }>(
  history: readonly D[],
  name: string,
): D | null {
  const means = ({ deploymentId, version, images = {} }: D): boolean =>
    version === name ||
    deploymentId === name ||
    Object.values(images).some((image) => image === name || image.endsWith(`:${name}`) || image.endsWith(`@${name}`));
  const matching = history.filter(means);
  return matching.find(({ status }) => status === "succeeded") ?? matching[0] ?? null;
}
