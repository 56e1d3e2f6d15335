// The one list price a question means, or why there is none. Pure.

import type { ListPrice, PriceAnswer } from "../../src/core/content/costs.js";
import type { PriceAsk } from "./billable.js";

export type Chosen = { readonly price: ListPrice } | { readonly because: string };

const REASONS: Readonly<Record<string, string>> = {
  access_denied: "the identity in use may not read the price list",
  unsupported: "the price list is not offered in this partition",
  not_in_sandbox: "the sandbox has no price list",
};

/** @example choosePrice({ prices: [] }, ask) // { because: "the price list has no such product in this region" } */
export function choosePrice(answer: PriceAnswer, { unit, prefer }: PriceAsk): Chosen {
  if ("unknown" in answer) {
    const { code, action } = answer.unknown;
    return { because: `${REASONS[code] ?? "the price list could not be read now"}${action ? ` (${action})` : ""}` };
  }
  const onSale = answer.prices.filter(
    ({ unit: of, attributes: { marketoption = "OnDemand" } }) =>
      of.toLowerCase() === unit.toLowerCase() && marketoption === "OnDemand",
  );
  const fitting = prefer ? preferred(onSale, prefer) : onSale;
  if (fitting.length === 0) return { because: "the price list has no such product in this region" };
  if (fitting.some(({ from, to }) => Number(from) !== 0 || to !== "Inf")) {
    return { because: "its price depends on the amount used" };
  }
  const different = new Map(fitting.map((price) => [`${price.currency} ${Number(price.price)}`, price]));
  const [price] = different.values();
  return different.size === 1 && price
    ? { price }
    : { because: `the price list has ${different.size} prices for it, and the plan does not tell which holds` };
}

function preferred(
  prices: readonly ListPrice[],
  { attribute, values }: NonNullable<PriceAsk["prefer"]>,
): readonly ListPrice[] {
  for (const value of values) {
    const fitting = prices.filter(({ attributes }) => attributes[attribute] === value);
    if (fitting.length > 0) return fitting;
  }
  return [];
}
