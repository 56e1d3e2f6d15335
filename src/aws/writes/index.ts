// Every operation that changes AWS: one row each, one file a service, and named nowhere else in the product but in steps.

import { AUTO_SCALING_WRITES, type AutoScalingWrites } from "./autoscaling.js";
import { CODEDEPLOY_WRITES, type CodeDeployWrites } from "./codedeploy.js";
import { CONTROL_WRITES, type ControlWrites } from "./control.js";
import { EC2_WRITES, type Ec2Writes } from "./ec2.js";
import { ECS_WRITES, type EcsWrites } from "./ecs.js";
import { REFRESH_WRITES, type RefreshWrites } from "./instance-refresh.js";
import { RDS_WRITES, type RdsWrites } from "./rds.js";
import type { Rows } from "./row.js";
import { TAGGING_WRITES, type TaggingWrites } from "./tagging.js";

export interface WriteOperations
  extends Ec2Writes,
    AutoScalingWrites,
    ControlWrites,
    RdsWrites,
    TaggingWrites,
    EcsWrites,
    CodeDeployWrites,
    RefreshWrites {}

export const WRITES: Rows<WriteOperations> = {
  ...EC2_WRITES,
  ...AUTO_SCALING_WRITES,
  ...CONTROL_WRITES,
  ...RDS_WRITES,
  ...TAGGING_WRITES,
  ...ECS_WRITES,
  ...CODEDEPLOY_WRITES,
  ...REFRESH_WRITES,
};
