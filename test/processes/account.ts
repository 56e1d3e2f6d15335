// A scripted account on loopback: Cloud Control, who the caller is, and a type registry. It outlives every server that is killed.

import { type Call, type CloudControl, startCloudControl } from "../cloud-control/server.js";
import { describeType } from "../emulated/describe-type.js";
import { type FaultProxy, startProxy } from "../emulated/proxy.js";
import { startScriptedHttp } from "../emulated/scripted-http.js";

export const REGION = "eu-west-1";
const ARN = "arn:aws:iam::123456789012:user/alice";
const IDENTITY = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>${ARN}</Arn><UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>`;

export interface ScriptedAccount {
  readonly cloudControl: CloudControl;
  /** In front of Cloud Control where it was asked for: holds calls, and says when they arrive. */
  readonly proxy: FaultProxy;
  /** What leads a server here. */
  readonly env: Readonly<Record<string, string>>;
  /** The calls that change something, as AWS received them. */
  writes(): readonly Call[];
  stop(): Promise<void>;
}

export const WRITES: ReadonlySet<string> = new Set(["CreateResource", "UpdateResource", "DeleteResource"]);

/** `held`: every call of Cloud Control goes through the proxy. */
export async function startAccount({ held = false } = {}): Promise<ScriptedAccount> {
  const cloudControl = await startCloudControl({ region: REGION });
  const registry = await startScriptedHttp(describeType);
  const identity = await startScriptedHttp(() => ({
    status: 200,
    headers: { "content-type": "text/xml" },
    body: IDENTITY,
  }));
  const proxy = await startProxy(cloudControl.endpoint, { name: "scripted" });
  return {
    cloudControl,
    proxy,
    env: {
      AWS_ENDPOINT_URL_CLOUDCONTROL: held ? proxy.endpoint : cloudControl.endpoint,
      AWS_ENDPOINT_URL_CLOUDFORMATION: registry.endpoint,
      AWS_ENDPOINT_URL_STS: identity.endpoint,
      // Nobody answers for any other service.
      AWS_ENDPOINT_URL: "http://127.0.0.1:1",
      AWS_ACCESS_KEY_ID: "AKIASCRIPTED",
      AWS_SECRET_ACCESS_KEY: "scripted",
      AWS_REGION: REGION,
      AWS_EC2_METADATA_DISABLED: "true",
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
    },
    writes: () => cloudControl.calls.filter(({ operation }) => WRITES.has(operation)),
    async stop() {
      for (const part of [proxy, cloudControl, registry, identity]) await part.stop();
    },
  };
}
