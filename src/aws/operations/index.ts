// Every operation a reader may call, one file a service: `"service:Operation"` → what goes in, what comes out, in AWS's shapes.

import type { AutoScalingReads } from "./autoscaling.js";
import type { CodeDeployReads } from "./codedeploy.js";
import type { ControlReads } from "./control.js";
import type { CostReads } from "./costs.js";
import type { Ec2Reads } from "./ec2.js";
import type { EcsReads } from "./ecs.js";
import type { Elbv2Reads } from "./elbv2.js";
import type { IamReads } from "./iam.js";
import type { RefreshReads } from "./instance-refresh.js";
import type { OrganizationsReads } from "./organizations.js";
import type { RdsReads } from "./rds.js";
import type { S3Reads } from "./s3.js";
import type { StsReads } from "./sts.js";
import type { TaggingReads } from "./tagging.js";

export interface ReadOperations
  extends Ec2Reads,
    AutoScalingReads,
    ControlReads,
    CostReads,
    IamReads,
    StsReads,
    RdsReads,
    EcsReads,
    CodeDeployReads,
    RefreshReads,
    OrganizationsReads,
    Elbv2Reads,
    S3Reads,
    TaggingReads {}
