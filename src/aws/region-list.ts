// The regions of AWS when this version was made, all partitions, and what is nearest to a name that is none of them.

export const REGION_NAMES: readonly string[] = [
  "af-south-1",
  "ap-east-1",
  "ap-east-2",
  "ap-northeast-1",
  "ap-northeast-2",
  "ap-northeast-3",
  "ap-south-1",
  "ap-south-2",
  "ap-southeast-1",
  "ap-southeast-2",
  "ap-southeast-3",
  "ap-southeast-4",
  "ap-southeast-5",
  "ap-southeast-6",
  "ap-southeast-7",
  "ca-central-1",
  "ca-west-1",
  "cn-north-1",
  "cn-northwest-1",
  "eu-central-1",
  "eu-central-2",
  "eu-north-1",
  "eu-south-1",
  "eu-south-2",
  "eu-west-1",
  "eu-west-2",
  "eu-west-3",
  "eusc-de-east-1",
  "il-central-1",
  "me-central-1",
  "me-south-1",
  "mx-central-1",
  "sa-east-1",
  "us-east-1",
  "us-east-2",
  "us-gov-east-1",
  "us-gov-west-1",
  "us-iso-east-1",
  "us-iso-west-1",
  "us-isob-east-1",
  "us-isob-west-1",
  "us-west-1",
  "us-west-2",
];

/** A region becomes part of a host name, so a name of another shape goes no further. */
export const looksLikeRegion = (name: string): boolean => /^[a-z]{2,6}(-[a-z]{2,12}){1,3}-\d{1,2}$/.test(name);

/** Edits between two names. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, left] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, right] of [...b].entries()) {
      next.push(Math.min(row[j]! + (left === right ? 0 : 1), row[j + 1]! + 1, next[j]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** @example nearestRegions("us-est-1") // ["us-east-1", "us-west-1", "us-east-2"] */
export const nearestRegions = (name: string, among: readonly string[] = REGION_NAMES): string[] =>
  among
    .map((region) => ({ region, edits: distance(name.toLowerCase().slice(0, 30), region) }))
    .sort((a, b) => a.edits - b.edits || (a.region < b.region ? -1 : 1))
    .slice(0, 3)
    .map(({ region }) => region);
