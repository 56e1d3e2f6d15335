// The real SDK clients, pointed at a loopback endpoint with fake keys. What is under test here is the wire, not the product.
import { AutoScalingClient } from "@aws-sdk/client-auto-scaling";
import { CloudControlClient } from "@aws-sdk/client-cloudcontrol";
import { EC2Client } from "@aws-sdk/client-ec2";
import { ECSClient } from "@aws-sdk/client-ecs";
import { ElasticLoadBalancingV2Client } from "@aws-sdk/client-elastic-load-balancing-v2";
import { RDSClient } from "@aws-sdk/client-rds";
import { STSClient } from "@aws-sdk/client-sts";

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";

export interface ClientOptions {
  readonly region?: string;
  readonly maxAttempts?: number;
  readonly accessKeyId?: string;
}

/** The environment of a child that must reach the emulator and nothing else. */
export function emulatedEnvironment(endpoint: string, region = "eu-west-1"): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: "AKIAEMULATED",
    AWS_SECRET_ACCESS_KEY: "emulated",
    AWS_REGION: region,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_CONFIG_FILE: "/dev/null",
    AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  };
}

/** Clients for one endpoint; close them with the suite. */
export function clientsFor(endpoint: string, options: ClientOptions = {}) {
  const { region = "eu-west-1", maxAttempts = 3, accessKeyId = "AKIAEMULATED" } = options;
  const config = { endpoint, region, maxAttempts, credentials: { accessKeyId, secretAccessKey: "emulated" } };
  const clients = {
    autoScaling: new AutoScalingClient(config),
    ec2: new EC2Client(config),
    balancing: new ElasticLoadBalancingV2Client(config),
    ecs: new ECSClient(config),
    rds: new RDSClient(config),
    sts: new STSClient(config),
    cloudControl: new CloudControlClient(config),
  };
  const close = () => {
    for (const client of Object.values(clients)) client.destroy();
  };
  return { ...clients, close };
}
