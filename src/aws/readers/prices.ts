// The price list: on-demand prices of the products that fit. A product without an on-demand price is none.

import type { ListPrice, PriceAnswer, PriceReader } from "../../core/content/costs.js";
import { type ErrorCode, OpsError } from "../../core/errors.js";
import { isObject, type Json, type JsonObject } from "../../core/json.js";
import type { Api } from "../api.js";
import { foreign } from "../foreign.js";
import { allPages } from "../pages.js";

/** Attributes that tell prices of one question apart. */
const SHOWN = [
  ...["instanceType", "regionCode", "location", "operatingSystem", "tenancy", "capacitystatus", "preInstalledSw"],
  ...["licenseModel", "marketoption", "volumeApiName", "volumeType", "group", "usagetype", "operation"],
  ...["databaseEngine", "databaseEdition", "deploymentOption", "storage"],
] as const;

/** @param api the price list's own region; throws where the partition has none */
export const priceReader = (api: () => Api): PriceReader => ({
  async products(serviceCode, attributes) {
    const Filters = Object.entries(attributes).map(([Field, Value]) => ({ Type: "TERM_MATCH" as const, Field, Value }));
    const pages = allPages(
      async (token) =>
        api().call("pricing", "GetProducts", {
          ServiceCode: serviceCode,
          FormatVersion: "aws_v1",
          Filters,
          MaxResults: 100,
          ...(token && { NextToken: token }),
        }),
      ({ PriceList }) => PriceList,
      ({ NextToken }) => NextToken,
    );
    return pages.then(
      (found): PriceAnswer => ({ prices: found.flatMap((text) => pricesOf(parsed(String(text)))) }),
      (error: unknown) => ({ unknown: reasonOf(error) }),
    );
  },
});

/** Where no price can be had for a reason that may stand, an estimate goes on without. Anything else is its failure. */
const UNKNOWN: ReadonlySet<ErrorCode> = new Set([
  "access_denied",
  "unsupported",
  "not_in_sandbox",
  "aws_unavailable",
  "throttled",
]);

function reasonOf(error: unknown): { code: ErrorCode; action?: string } {
  if (!(error instanceof OpsError) || !UNKNOWN.has(error.code)) throw error;
  const { action } = error.details;
  return { code: error.code, ...(typeof action === "string" && { action }) };
}

const parsed = (text: string): JsonObject => {
  const value: unknown = JSON.parse(text);
  return isObject(value) ? value : {};
};

const objectAt = (value: JsonObject, name: string): JsonObject => {
  const member = value[name];
  return isObject(member) ? member : {};
};

const objects = (value: JsonObject): JsonObject[] =>
  Object.values(value).filter((one): one is JsonObject => isObject(one));
const string = (value: Json | undefined): string => (typeof value === "string" ? value : "");

function pricesOf(entry: JsonObject): ListPrice[] {
  const product = objectAt(entry, "product");
  const given = objectAt(product, "attributes");
  const attributes = Object.fromEntries(
    SHOWN.filter((name) => string(given[name]) !== "").map((name) => [name, foreign(given[name])]),
  );
  return objects(objectAt(objectAt(entry, "terms"), "OnDemand"))
    .flatMap((term) => objects(objectAt(term, "priceDimensions")))
    .flatMap((dimension) =>
      Object.entries(objectAt(dimension, "pricePerUnit")).map(([currency, price]) => ({
        sku: foreign(product.sku, 32),
        unit: foreign(dimension.unit, 32),
        currency: foreign(currency, 8),
        price: foreign(price, 32),
        from: string(dimension.beginRange) || "0",
        to: string(dimension.endRange) || "Inf",
        attributes,
      })),
    );
}
