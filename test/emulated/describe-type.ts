// CloudFormation's DescribeType, scripted from AWS's published answer shape: moto has none. Knows one type; others are not found.

import type { ScriptedAnswer, ScriptedRequest } from "./scripted-http.js";

/** The parts of AWS::SNS::Topic's public schema that a trimmed schema shows. */
const SCHEMA = {
  typeName: "AWS::SNS::Topic",
  properties: {
    TopicName: { type: "string", description: "The name of the topic. It cannot be changed." },
    DisplayName: { type: "string" },
    Tags: { type: "array", insertionOrder: false, items: { $ref: "#/definitions/Tag" } },
    TopicArn: { type: "string" },
  },
  definitions: {
    Tag: {
      type: "object",
      properties: { Key: { type: "string" }, Value: { type: "string" } },
      required: ["Key", "Value"],
    },
  },
  primaryIdentifier: ["/properties/TopicArn"],
  createOnlyProperties: ["/properties/TopicName"],
  readOnlyProperties: ["/properties/TopicArn"],
  tagging: { taggable: true, tagProperty: "/properties/Tags" },
};

const xml = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

export function describeType({ body }: ScriptedRequest): ScriptedAnswer {
  const type = new URLSearchParams(body).get("TypeName") ?? "";
  const headers = { "content-type": "text/xml" };
  const namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
  if (type !== SCHEMA.typeName) {
    const error = `<Error><Type>Sender</Type><Code>TypeNotFoundException</Code><Message>The type '${xml(type)}' cannot be found.</Message></Error>`;
    return {
      status: 404,
      headers,
      body: `<ErrorResponse xmlns="${namespace}">${error}<RequestId>r</RequestId></ErrorResponse>`,
    };
  }
  const result = `<TypeName>${type}</TypeName><ProvisioningType>FULLY_MUTABLE</ProvisioningType><Schema>${xml(JSON.stringify(SCHEMA))}</Schema>`;
  return {
    status: 200,
    headers,
    body: `<DescribeTypeResponse xmlns="${namespace}"><DescribeTypeResult>${result}</DescribeTypeResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></DescribeTypeResponse>`,
  };
}
