// Reads an AWS request off the wire (service, region, operation, parameters) and writes an error as that service would.
import type { IncomingHttpHeaders } from "node:http";

export type Protocol = "ec2" | "query" | "json" | "cbor" | "rest";

export interface AwsRequest {
  /** From the credential scope: "ec2", "cloudcontrolapi", "elasticloadbalancing"; "unknown" when unsigned. */
  readonly service: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly operation: string;
  readonly protocol: Protocol;
  /** JSON: as sent. Query: flat, as sent ("InstanceId.1"). REST: the query string and path. CBOR: empty. */
  readonly params: Readonly<Record<string, unknown>>;
  /** The SDK's own numbering: equal ids are attempts of one call. */
  readonly invocation: string | undefined;
  readonly attempt: number;
  /** The tool call in whose course the product asks, as its user agent says. */
  readonly call: string | undefined;
}

export interface WireRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export function readAws(request: WireRequest): AwsRequest {
  const { headers } = request;
  const scope = readScope(request);
  const tries = /attempt=(\d+)/.exec(String(headers["amz-sdk-request"] ?? ""))?.[1];
  const invocation = headers["amz-sdk-invocation-id"];
  return {
    ...scope,
    ...readOperation(request, scope.service),
    invocation: typeof invocation === "string" ? invocation : undefined,
    attempt: Number(tries ?? 1),
    call: /(?:^| )call\/(\S+)/.exec(headers["user-agent"] ?? "")?.[1],
  };
}

function readScope({ headers, url }: WireRequest) {
  const presigned = new URL(url, "http://host").searchParams.get("X-Amz-Credential");
  const credential = /Credential=([^,\s]+)/.exec(headers.authorization ?? "")?.[1] ?? presigned ?? "";
  const [accessKeyId = "", , region = "", service = ""] = credential.split("/");
  return { accessKeyId, region: region || "unknown", service: service || "unknown" };
}

type Operation = Pick<AwsRequest, "operation" | "protocol" | "params">;

function readOperation(request: WireRequest, service: string): Operation {
  const { headers, body, url } = request;
  const target = headers["x-amz-target"];
  if (typeof target === "string") {
    return { operation: target.split(".").at(-1) ?? target, protocol: "json", params: readJson(body) };
  }
  if (String(headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded")) {
    const { Action = "unknown", Version: _, ...params } = Object.fromEntries(new URLSearchParams(body.toString()));
    return { operation: Action, protocol: service === "ec2" ? "ec2" : "query", params };
  }
  const rpc = /\/service\/[^/]+\/operation\/([^/?]+)/.exec(url);
  if (rpc) return { operation: rpc[1]!, protocol: "cbor", params: {} };
  return readRest(request);
}

function readJson(body: Buffer): Record<string, unknown> {
  try {
    return JSON.parse(body.toString()) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** REST services name no operation. SDK v3 sends S3's as `x-id`; the rest of S3 follows from method, depth and subresource. */
function readRest({ method, url }: WireRequest): Operation {
  const { pathname, searchParams } = new URL(url, "http://host");
  const params = { ...Object.fromEntries(searchParams), path: decodeURIComponent(pathname) };
  return {
    operation: searchParams.get("x-id") ?? s3Operation(method, pathname, searchParams),
    protocol: "rest",
    params,
  };
}

const verbs: Readonly<Record<string, string>> = {
  GET: "Get",
  PUT: "Put",
  HEAD: "Head",
  DELETE: "Delete",
  POST: "Post",
};
const subresources: Readonly<Record<string, string>> = {
  acl: "Acl",
  encryption: "Encryption",
  lifecycle: "LifecycleConfiguration",
  location: "Location",
  "object-lock": "ObjectLockConfiguration",
  policy: "Policy",
  publicAccessBlock: "PublicAccessBlock",
  retention: "Retention",
  tagging: "Tagging",
  versioning: "Versioning",
};

function s3Operation(method: string, path: string, query: URLSearchParams): string {
  const verb = verbs[method] ?? method;
  const [bucket, ...key] = path.split("/").filter(Boolean);
  if (!bucket) return "ListBuckets";
  if (query.has("list-type")) return "ListObjectsV2";
  if (query.has("versions")) return "ListObjectVersions";
  if (query.has("delete")) return "DeleteObjects";
  const found = Object.keys(subresources).find((name) => query.has(name));
  if (found)
    return `${verb}${key.length === 0 && found !== "publicAccessBlock" ? "Bucket" : key.length ? "Object" : ""}${subresources[found]}`;
  if (key.length > 0) return `${verb}Object`;
  if (method === "PUT") return "CreateBucket";
  return method === "GET" ? "ListObjects" : `${verb}Bucket`;
}

export interface WireReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** An error in the shape the service's own protocol gives it, so that the SDK parses it as AWS's. */
export function errorReply(request: AwsRequest, status: number, code: string, message: string): WireReply {
  const reply = (type: string, body: string, headers: Record<string, string> = {}): WireReply => ({
    status,
    headers: { "content-type": type, ...headers },
    body: Buffer.from(body),
  });
  const error = `<Code>${xml(code)}</Code><Message>${xml(message)}</Message>`;
  switch (request.protocol) {
    case "ec2":
      return reply(
        "text/xml",
        `<Response><Errors><Error>${error}</Error></Errors><RequestID>proxy</RequestID></Response>`,
      );
    case "query": {
      const type = status < 500 ? "Sender" : "Receiver";
      return reply(
        "text/xml",
        `<ErrorResponse><Error><Type>${type}</Type>${error}</Error><RequestId>proxy</RequestId></ErrorResponse>`,
      );
    }
    case "json":
      return reply("application/x-amz-json-1.1", JSON.stringify({ __type: code, message, Message: message }));
    case "cbor":
      return cborReply(status, { __type: code, message });
    case "rest":
      if (request.service !== "s3")
        return reply("application/json", JSON.stringify({ message }), { "x-amzn-errortype": code });
      return reply("application/xml", `<Error>${error}</Error>`);
  }
}

function xml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

/** The little CBOR an error needs: one map of short texts. */
function cborReply(status: number, fields: Record<string, string>): WireReply {
  const text = (value: string) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from([0x79, bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  const entries = Object.entries(fields);
  const body = Buffer.concat([Buffer.from([0xa0 + entries.length]), ...entries.flat().map(text)]);
  return { status, headers: { "content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor" }, body };
}
