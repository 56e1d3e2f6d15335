// Address blocks in the form AWS gives them.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalCidr } from "../../src/core/cidr.js";

describe("an address block", () => {
  it.each([
    ["100.68.0.18/18", "100.68.0.0/18"],
    ["1.2.3.4/0", "0.0.0.0/0"],
    ["10.0.0.1/32", "10.0.0.1/32"],
    ["192.168.1.0/23", "192.168.0.0/23"],
    ["2001:DB8:0:0:0:0:0:1/32", "2001:db8::/32"],
    ["2001:db8:0:0:1:0:0:1/128", "2001:db8::1:0:0:1/128"],
    ["::1/0", "::/0"],
    ["0:0:0:0:0:0:0:0/0", "::/0"],
    ["fd00::ff/121", "fd00::80/121"],
  ])("%s is %s", (given, stored) => expect(canonicalCidr(given)).toBe(stored));

  it.each(["10.0.0.256/8", "10.0.0.0/33", "1:2/64", "1::2::3/64", "::/129", "sg-1", "pl-1"])("%s is none", (text) =>
    expect(canonicalCidr(text)).toBe(text),
  );

  it("is the same one once it is in that form", () => {
    const v4 = fc.tuple(fc.ipV4(), fc.nat(32));
    const v6 = fc.tuple(
      fc.ipV6().filter((address) => !address.includes(".")),
      fc.nat(128),
    );
    fc.assert(
      fc.property(fc.oneof(v4, v6), ([address, bits]) => {
        const once = canonicalCidr(`${address}/${bits}`);
        expect(canonicalCidr(once)).toBe(once);
      }),
    );
  });
});
