// Somebody else in the sandbox account: acts through the same operations as everybody, past the server.

import type { Clock } from "../../core/ports.js";
import { sandboxApi } from "./api.js";
import { session } from "./trail.js";
import { SANDBOX_ACCOUNT, SANDBOX_REGION, taskDefinitionArn, type WorldStore } from "./world.js";

export interface Outsider {
  terminate(instanceIds: readonly string[]): Promise<void>;
  /** Opens a port, as an engineer of this session name. */
  allow(groupId: string, port: number, cidr: string, engineer?: string): Promise<void>;
  /** Registers a release of the API as the next revision of its task definition. */
  release(version: string): Promise<number>;
  /** Puts a service on a revision of the task definition `api`. */
  deploy(service: string, revision: number): Promise<void>;
}

/** Who is behind what happens past the server: CloudTrail names them so. */
const AUTO_SCALING = session(
  "AWSServiceRoleForAutoScaling",
  "AutoScaling",
  { sourceIPAddress: "autoscaling.amazonaws.com", userAgent: "autoscaling.amazonaws.com" },
  "aws-service-role/autoscaling.amazonaws.com/",
);
const PIPELINE = session("DeployPipeline", "release", { sourceIPAddress: "192.0.2.20", userAgent: "aws-cli/2.30.0" });
const engineerOf = (name: string) =>
  session("NetworkEngineer", name, {
    sourceIPAddress: "198.51.100.7",
    userAgent: "Mozilla/5.0",
    sessionCredentialFromConsole: "true",
  });

/** @example await outsider(memoryStore(), clock).allow("sg-0bb00000000000001", 22, "10.0.0.0/8") */
export function outsider(store: WorldStore, clock: Clock): Outsider {
  const as = (by: Parameters<typeof sandboxApi>[4]) => sandboxApi(store, clock, undefined, undefined, by);
  const scaling = as(AUTO_SCALING);
  const pipeline = as(PIPELINE);
  return {
    async terminate(instanceIds) {
      await scaling.call("ec2", "TerminateInstances", { InstanceIds: [...instanceIds] });
      // Two looks of virtual time: shutting down, then terminated.
      for (let look = 0; look < 2; look++)
        await scaling.call("ec2", "DescribeInstances", { InstanceIds: [...instanceIds] });
    },
    async allow(groupId, port, cidr, engineer = "dana") {
      await as(engineerOf(engineer)).call("ec2", "AuthorizeSecurityGroupIngress", {
        GroupId: groupId,
        IpPermissions: [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: cidr }] }],
      });
    },
    async release(version) {
      const image = `${SANDBOX_ACCOUNT}.dkr.ecr.${SANDBOX_REGION}.amazonaws.com/api:${version}`;
      const sent = await pipeline.call("cloudcontrol", "CreateResource", {
        TypeName: "AWS::ECS::TaskDefinition",
        DesiredState: JSON.stringify({
          Family: "api",
          ContainerDefinitions: [{ Name: "api", Image: image, Essential: true }],
        }),
      });
      const done = await pipeline.call("cloudcontrol", "GetResourceRequestStatus", {
        RequestToken: sent.ProgressEvent?.RequestToken ?? "",
      });
      return Number(done.ProgressEvent?.Identifier?.split(":").at(-1));
    },
    async deploy(service, revision) {
      const listed = await pipeline.call("cloudcontrol", "ListResources", {
        TypeName: "AWS::ECS::Service",
        ResourceModel: JSON.stringify({ Cluster: "prod" }),
      });
      const identifier = listed.ResourceDescriptions?.map((row) => row.Identifier ?? "").find((id) =>
        id.includes(service),
      );
      const patch = [{ op: "add", path: "/TaskDefinition", value: taskDefinitionArn("api", revision) }];
      const sent = await pipeline.call("cloudcontrol", "UpdateResource", {
        TypeName: "AWS::ECS::Service",
        Identifier: identifier ?? service,
        PatchDocument: JSON.stringify(patch),
      });
      await pipeline.call("cloudcontrol", "GetResourceRequestStatus", {
        RequestToken: sent.ProgressEvent?.RequestToken ?? "",
      });
    },
  };
}
