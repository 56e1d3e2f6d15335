// Somebody else in the sandbox account: acts through the same operations as everybody, past the server.

import type { Clock } from "../../core/ports.js";
import { sandboxApi } from "./api.js";
import { SANDBOX_ACCOUNT, SANDBOX_REGION, taskDefinitionArn, type WorldStore } from "./world.js";

export interface Outsider {
  terminate(instanceIds: readonly string[]): Promise<void>;
  allow(groupId: string, port: number, cidr: string): Promise<void>;
  /** Registers a release of the API as the next revision of its task definition. */
  release(version: string): Promise<number>;
  /** Puts a service on a revision of the task definition `api`. */
  deploy(service: string, revision: number): Promise<void>;
}

/** @example await outsider(memoryStore(), clock).allow("sg-0bb00000000000001", 22, "10.0.0.0/8") */
export function outsider(store: WorldStore, clock: Clock): Outsider {
  const api = sandboxApi(store, clock);
  return {
    async terminate(instanceIds) {
      await api.call("ec2", "TerminateInstances", { InstanceIds: [...instanceIds] });
      // Two looks of virtual time: shutting down, then terminated.
      for (let look = 0; look < 2; look++)
        await api.call("ec2", "DescribeInstances", { InstanceIds: [...instanceIds] });
    },
    async allow(groupId, port, cidr) {
      await api.call("ec2", "AuthorizeSecurityGroupIngress", {
        GroupId: groupId,
        IpPermissions: [{ IpProtocol: "tcp", FromPort: port, ToPort: port, IpRanges: [{ CidrIp: cidr }] }],
      });
    },
    async release(version) {
      const image = `${SANDBOX_ACCOUNT}.dkr.ecr.${SANDBOX_REGION}.amazonaws.com/api:${version}`;
      const sent = await api.call("cloudcontrol", "CreateResource", {
        TypeName: "AWS::ECS::TaskDefinition",
        DesiredState: JSON.stringify({
          Family: "api",
          ContainerDefinitions: [{ Name: "api", Image: image, Essential: true }],
        }),
      });
      const done = await api.call("cloudcontrol", "GetResourceRequestStatus", {
        RequestToken: sent.ProgressEvent?.RequestToken ?? "",
      });
      return Number(done.ProgressEvent?.Identifier?.split(":").at(-1));
    },
    async deploy(service, revision) {
      const listed = await api.call("cloudcontrol", "ListResources", {
        TypeName: "AWS::ECS::Service",
        ResourceModel: JSON.stringify({ Cluster: "prod" }),
      });
      const identifier = listed.ResourceDescriptions?.map((row) => row.Identifier ?? "").find((id) =>
        id.includes(service),
      );
      const patch = [{ op: "add", path: "/TaskDefinition", value: taskDefinitionArn("api", revision) }];
      const sent = await api.call("cloudcontrol", "UpdateResource", {
        TypeName: "AWS::ECS::Service",
        Identifier: identifier ?? service,
        PatchDocument: JSON.stringify(patch),
      });
      await api.call("cloudcontrol", "GetResourceRequestStatus", {
        RequestToken: sent.ProgressEvent?.RequestToken ?? "",
      });
    },
  };
}
