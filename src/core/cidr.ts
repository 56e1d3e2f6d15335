// Address blocks as AWS stores them: without host bits, IPv6 in its short form. Pure.

function maskedV4(address: string, bits: number): string | undefined {
  const octets = address.split(".").map(Number);
  if (octets.length !== 4 || bits > 32 || octets.some((octet) => !Number.isInteger(octet) || octet > 255))
    return undefined;
  return octets.map((octet, index) => octet & (0xff << (8 - clamped(bits - 8 * index, 8)))).join(".");
}

function maskedV6(address: string, bits: number): string | undefined {
  const [head = "", tail, ...more] = address.split("::");
  const groupsOf = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [left, right] = [groupsOf(head), groupsOf(tail ?? "")];
  const missing = 8 - left.length - right.length;
  if (more.length > 0 || bits > 128 || (tail === undefined ? missing !== 0 : missing < 1)) return undefined;
  const groups = [...left, ...Array<string>(missing).fill("0"), ...right];
  if (groups.some((group) => !/^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const masked = groups.map(
    (group, index) => Number.parseInt(group, 16) & (0xffff << (16 - clamped(bits - 16 * index, 16))),
  );
  return shortened(masked.map((group) => group.toString(16)));
}

const clamped = (value: number, most: number): number => Math.min(Math.max(value, 0), most);

/** The first of the longest runs of two and more zeros is left out. */
function shortened(groups: readonly string[]): string {
  const runs = groups.map((_, start) => {
    const end = groups.findIndex((group, index) => index >= start && group !== "0");
    return (end < 0 ? groups.length : end) - start;
  });
  const longest = Math.max(...runs);
  if (longest < 2) return groups.join(":");
  const start = runs.indexOf(longest);
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + longest).join(":")}`;
}

/**
 * A block as AWS answers it; what is no block stays as it is, for AWS to refuse.
 * @example canonicalCidr("100.68.0.18/18") // "100.68.0.0/18"
 * @example canonicalCidr("2001:DB8:0:0::1/32") // "2001:db8::/32"
 */
export function canonicalCidr(text: string): string {
  const [, address = "", bits = ""] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(text) ?? [];
  if (address === "") return text;
  const masked = address.includes(":") ? maskedV6(address, Number(bits)) : maskedV4(address, Number(bits));
  return masked === undefined ? text : `${masked}/${Number(bits)}`;
}
