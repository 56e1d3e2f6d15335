// AWS calls with no SDK between: for services whose client is not installed, and for answers the SDK would refuse to parse.

export interface RawAnswer {
  readonly status: number;
  readonly text: string;
  /** Moto's HTML page instead of an answer: the operation is missing. */
  readonly isMissing: boolean;
  /** Content of the first XML element of that name. */
  xml(name: string): string | undefined;
  /** Contents of all of them. */
  all(name: string): string[];
  /** The JSON body, or an empty object. */
  readonly json: Readonly<Record<string, never>>;
}

export interface RawOptions {
  readonly accessKeyId?: string;
  readonly sessionToken?: string;
}

export type Fields = Readonly<Record<string, string | number>>;

const versions: Readonly<Record<string, string>> = {
  autoscaling: "2011-01-01",
  cloudformation: "2010-05-15",
  ec2: "2016-11-15",
  elasticloadbalancing: "2015-12-01",
  iam: "2010-05-08",
  rds: "2014-10-31",
  sts: "2011-06-15",
};

const targets: Readonly<Record<string, string>> = {
  ce: "AWSInsightsIndexService",
  cloudcontrolapi: "CloudApiService",
  cloudtrail: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101",
  codedeploy: "CodeDeploy_20141006",
  organizations: "AWSOrganizationsV20161128",
  pricing: "AWSPriceListService",
  ecs: "AmazonEC2ContainerServiceV20141113",
  tagging: "ResourceGroupsTaggingAPI_20170126",
};

export type RawAws = ReturnType<typeof rawAws>;

/** Unsigned but scoped, which moto accepts unless IAM is enforced. */
export function rawAws(endpoint: string, region = "eu-west-1") {
  const send = async (
    service: string,
    type: string,
    headers: Record<string, string>,
    body: string,
    options: RawOptions,
  ) => {
    const { accessKeyId = "AKIAEMULATED", sessionToken } = options;
    const credential = `Credential=${accessKeyId}/20260101/${region}/${service}/aws4_request`;
    const reply = await fetch(endpoint, {
      method: "POST",
      headers: {
        "content-type": type,
        authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host, Signature=0`,
        ...(sessionToken && { "x-amz-security-token": sessionToken }),
        ...headers,
      },
      body,
    });
    return answer(reply.status, reply.headers.get("content-type") ?? "", await reply.text());
  };
  return {
    query(service: string, action: string, fields: Fields = {}, options: RawOptions = {}): Promise<RawAnswer> {
      const all = { Action: action, Version: versions[service] ?? "", ...fields };
      const texts = Object.entries(all).map(([name, value]): [string, string] => [name, String(value)]);
      const body = new URLSearchParams(texts).toString();
      return send(service, "application/x-www-form-urlencoded", {}, body, options);
    },
    json(service: string, operation: string, input: object = {}, options: RawOptions = {}): Promise<RawAnswer> {
      const headers = { "x-amz-target": `${targets[service]}.${operation}` };
      return send(service, "application/x-amz-json-1.1", headers, JSON.stringify(input), options);
    },
  };
}

function answer(status: number, type: string, text: string): RawAnswer {
  const all = (name: string) =>
    [...text.matchAll(new RegExp(`<${name}(?:\\s[^>]*)?>([\\s\\S]*?)</${name}>`, "g"))].map((match) =>
      match[1]!.trim(),
    );
  const isMissing = status >= 404 && /html/.test(type) && /<(!doctype html|html|title)/i.test(text);
  return { status, text, isMissing, all, xml: (name) => all(name)[0], json: parse(text) };
}

function parse(text: string): Readonly<Record<string, never>> {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
