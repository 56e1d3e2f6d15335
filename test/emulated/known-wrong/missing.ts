// What moto answers with HTTP 500 and an HTML page: operations it does not have.
import type { RawAws } from "../raw-aws.js";
import type { Fault } from "./fault.js";

const gone = (service: string, operation: string, ask: (aws: RawAws) => Promise<{ isMissing: boolean }>): Fault => ({
  service,
  operation,
  moto: "missing",
  aws: "exists",
  kind: "missing",
  probe: async ({ aws }) => (await ask(aws)).isMissing,
});

const json = (service: string, input: object, ...operations: readonly string[]) =>
  operations.map((operation) => gone(service, operation, (aws) => aws.json(service, operation, input)));

const query = (service: string, input: Record<string, string>, ...operations: readonly string[]) =>
  operations.map((operation) => gone(service, operation, (aws) => aws.query(service, operation, input)));

const bucket = { TypeName: "AWS::S3::Bucket", Identifier: "bucket" };
const TimePeriod = { Start: "2026-01-01", End: "2026-02-01" };

export const missing: readonly Fault[] = [
  ...json("cloudcontrolapi", bucket, "GetResource", "ListResources", "DeleteResource"),
  ...json(
    "cloudcontrolapi",
    { ...bucket, DesiredState: "{}", PatchDocument: "[]" },
    "CreateResource",
    "UpdateResource",
  ),
  ...json("cloudcontrolapi", { RequestToken: "token" }, "GetResourceRequestStatus", "CancelResourceRequest"),
  ...json("cloudcontrolapi", {}, "ListResourceRequests"),
  ...json("cloudtrail", {}, "LookupEvents"),
  ...query("cloudformation", { Type: "RESOURCE", TypeName: "AWS::S3::Bucket" }, "DescribeType", "ListTypes"),
  ...query("cloudformation", { StackName: "stack" }, "DetectStackDrift"),
  ...query("rds", {}, "DescribeDBEngineVersions", "DescribePendingMaintenanceActions"),
  ...query("autoscaling", { AutoScalingGroupName: "g" }, "StartInstanceRefresh", "DescribeInstanceRefreshes"),
  ...json("ecs", { cluster: "c", service: "s" }, "ListServiceDeployments", "DescribeServiceDeployments"),
  ...json(
    "ecs",
    { serviceDeploymentArn: "arn", serviceRevisionArns: ["arn"] },
    "StopServiceDeployment",
    "DescribeServiceRevisions",
  ),
  ...json("codedeploy", { deploymentId: "d-1" }, "StopDeployment", "ContinueDeployment", "ListDeploymentTargets"),
  ...json("codedeploy", { deploymentId: "d-1", targetIds: ["t"] }, "BatchGetDeploymentTargets"),
  ...json(
    "ce",
    { TimePeriod, Metric: "UNBLENDED_COST", Granularity: "MONTHLY", Dimension: "SERVICE" },
    "GetCostForecast",
  ),
  ...json(
    "ce",
    { TimePeriod, Dimension: "SERVICE", DateInterval: { StartDate: "2026-01-01" } },
    "GetDimensionValues",
    "GetTags",
    "GetAnomalies",
  ),
  ...json("ce", {}, "GetAnomalyMonitors"),
  ...json("ce", { Service: "AmazonEC2" }, "GetRightsizingRecommendation"),
  ...json("organizations", { PolicyType: "TAG_POLICY" }, "DescribeEffectivePolicy"),
  ...json("pricing", { ServiceCode: "AmazonEC2" }, "GetProducts"),
  ...json("tagging", {}, "GetComplianceSummary"),
];
