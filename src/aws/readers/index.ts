// Type → reader: the resource types we read through their own service.

import type { Contents } from "../../core/content.js";
import type { Api } from "../api.js";
import { autoScalingGroupReader } from "./autoscaling.js";
import { deploymentGroupReader } from "./codedeploy.js";
import { instanceReader, securityGroupReader } from "./ec2.js";
import { ecsServiceReader, taskDefinitionReader } from "./ecs.js";
import { loadBalancerReader, targetGroupReader } from "./elbv2.js";
import type { TypeReader } from "./parts.js";
import { clusterSnapshotReader, databaseClusterReader, databaseInstanceReader, databaseSnapshotReader } from "./rds.js";

export type TypeReaders = { readonly [T in keyof Contents]: TypeReader<Contents[T]> };

export const typeReaders = (api: Api): TypeReaders => ({
  "AWS::EC2::Instance": instanceReader(api),
  "AWS::EC2::SecurityGroup": securityGroupReader(api),
  "AWS::AutoScaling::AutoScalingGroup": autoScalingGroupReader(api),
  "AWS::ElasticLoadBalancingV2::LoadBalancer": loadBalancerReader(api),
  "AWS::ElasticLoadBalancingV2::TargetGroup": targetGroupReader(api),
  "AWS::RDS::DBInstance": databaseInstanceReader(api),
  "AWS::RDS::DBCluster": databaseClusterReader(api),
  "AWS::RDS::DBSnapshot": databaseSnapshotReader(api),
  "AWS::RDS::DBClusterSnapshot": clusterSnapshotReader(api),
  "AWS::ECS::Service": ecsServiceReader(api),
  "AWS::ECS::TaskDefinition": taskDefinitionReader(api),
  "AWS::CodeDeploy::DeploymentGroup": deploymentGroupReader(api),
});
