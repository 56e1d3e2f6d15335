// What the published specification does not say, written by hand from the registry's schemas for the types used most:
// write-only properties, arrays without order, parents a list needs, properties that exclude one another. Data.

export interface OverlayRow {
  /** Absent: not known without the registry. */
  readonly writeOnly?: readonly string[];
  readonly unordered?: readonly string[];
  /** Fields a list needs in its model: all of one of these sets. */
  readonly list?: readonly (readonly string[])[];
  /** Properties of which AWS keeps one: setting one gives up the others; of those read back only the first is written. */
  readonly exclusive?: readonly (readonly string[])[];
}

const words = (text: string): string[] => text.trim().split(/\s+/).filter(Boolean);
const paths = (text: string): string[] => words(text).map((path) => `/${path}`);

const WRITE_ONLY: readonly [string, string][] = [
  [
    "AWS::RDS::DBInstance",
    `AllowMajorVersionUpgrade ApplyImmediately CertificateRotationRestart DBSnapshotIdentifier DeleteAutomatedBackups
     MasterUserPassword Port RestoreTime SourceDBClusterIdentifier SourceDBInstanceAutomatedBackupsArn
     SourceDBInstanceIdentifier SourceDbiResourceId SourceRegion TdeCredentialPassword UseDefaultProcessorFeatures
     UseLatestRestorableTime`,
  ],
  [
    "AWS::RDS::DBCluster",
    `ClusterScalabilityType DBInstanceParameterGroupName DeleteAutomatedBackups MasterUserPassword RestoreToTime
     RestoreType SnapshotIdentifier SourceDBClusterIdentifier SourceDbClusterResourceId SourceRegion
     UseLatestRestorableTime`,
  ],
  [
    "AWS::EC2::Instance",
    `AdditionalInfo BlockDeviceMappings/*/NoDevice BlockDeviceMappings/*/VirtualName Ipv6AddressCount Ipv6Addresses
     LaunchTemplate LicenseSpecifications PropagateTagsToVolumeOnCreation`,
  ],
  ["AWS::EC2::LaunchTemplate", "LaunchTemplateData TagSpecifications VersionDescription"],
  ["AWS::EC2::VPC", "Ipv4IpamPoolId Ipv4NetmaskLength"],
  ["AWS::EC2::Subnet", "EnableLniAtDeviceIndex Ipv4IpamPoolId Ipv4NetmaskLength Ipv6IpamPoolId Ipv6NetmaskLength"],
  ["AWS::EC2::EIP", "Address IpamPoolId TransferAddress"],
  ["AWS::EC2::SecurityGroup", "SecurityGroupIngress/*/SourceSecurityGroupName"],
  [
    "AWS::S3::Bucket",
    `AccessControl LifecycleConfiguration/Rules/*/NoncurrentVersionExpirationInDays
     LifecycleConfiguration/Rules/*/NoncurrentVersionTransition LifecycleConfiguration/Rules/*/Transition
     ReplicationConfiguration/Rules/*/Prefix`,
  ],
  ["AWS::Lambda::Function", "Code SnapStart"],
  ["AWS::ECS::Service", "ForceNewDeployment Monitoring ServiceConnectConfiguration VolumeConfigurations"],
  ["AWS::ECS::Cluster", "ServiceConnectDefaults"],
  ["AWS::SecretsManager::Secret", "GenerateSecretString SecretString"],
  ["AWS::SSM::Parameter", "AllowedPattern Description Policies Tier"],
  ["AWS::KMS::Key", "BypassPolicyLockoutSafetyCheck PendingWindowInDays RotationPeriodInDays"],
  ["AWS::IAM::User", "LoginProfile/Password"],
  ["AWS::AutoScaling::AutoScalingGroup", "InstanceId SkipZonalShiftValidation"],
  ["AWS::ElastiCache::ReplicationGroup", "AuthToken"],
  ["AWS::ElastiCache::ServerlessCache", "FinalSnapshotName SnapshotArnsToRestore"],
  ["AWS::ElastiCache::User", "AccessString AuthenticationMode NoPasswordRequired Passwords"],
  ["AWS::ElasticLoadBalancingV2::LoadBalancer", "SubnetMappings"],
  ["AWS::DynamoDB::Table", "ImportSourceSpecification"],
  // Known to have none.
  ...words(
    `AWS::EC2::SecurityGroupIngress AWS::EC2::Volume AWS::ElasticLoadBalancingV2::TargetGroup AWS::ECS::TaskDefinition
     AWS::CodeDeploy::DeploymentGroup AWS::IAM::Role AWS::Logs::LogGroup AWS::CloudWatch::Alarm AWS::SNS::Topic
     AWS::SQS::Queue`,
  ).map((type): [string, string] => [type, ""]),
];

const UNORDERED: readonly [string, string][] = [
  [
    "AWS::S3::Bucket",
    `AnalyticsConfigurations BucketEncryption/ServerSideEncryptionConfiguration
     CorsConfiguration/CorsRules/*/AllowedHeaders CorsConfiguration/CorsRules/*/AllowedMethods
     CorsConfiguration/CorsRules/*/AllowedOrigins IntelligentTieringConfigurations InventoryConfigurations
     MetricsConfigurations Tags`,
  ],
  ["AWS::EC2::SecurityGroup", "SecurityGroupIngress SecurityGroupEgress Tags"],
  ["AWS::Logs::LogGroup", "FieldIndexPolicies Tags"],
  ["AWS::IAM::Role", "ManagedPolicyArns Policies Tags"],
  [
    "AWS::ECS::Service",
    `CapacityProviderStrategy LoadBalancers NetworkConfiguration/AwsvpcConfiguration/SecurityGroups
     NetworkConfiguration/AwsvpcConfiguration/Subnets PlacementConstraints ServiceRegistries Tags`,
  ],
  ["AWS::ECS::TaskDefinition", "ContainerDefinitions/*/Environment RequiresCompatibilities Tags"],
];

const of = (service: string, names: string): string[] => words(names).map((name) => `AWS::${service}::${name}`);

/** Type → the sets of model fields, any one of which a list needs in full. */
const LISTS: readonly (readonly [readonly string[], readonly (readonly string[])[]])[] = [
  [of("EKS", "Nodegroup Addon AccessEntry FargateProfile PodIdentityAssociation"), [["ClusterName"]]],
  [
    of(
      "ApiGateway",
      "Authorizer Deployment DocumentationPart DocumentationVersion Model RequestValidator Resource Stage",
    ),
    [["RestApiId"]],
  ],
  [of("Lambda", "Version Alias Permission"), [["FunctionName"]]],
  [of("EC2", "Route"), [["RouteTableId"]]],
  [of("ElasticLoadBalancingV2", "Listener"), [["LoadBalancerArn"], ["ListenerArns"]]],
  [of("ElasticLoadBalancingV2", "ListenerRule"), [["ListenerArn"], ["RuleArns"]]],
  [of("ApplicationAutoScaling", "ScalingPolicy"), [["ServiceNamespace"]]],
  [of("CodeDeploy", "DeploymentGroup"), [["ApplicationName"]]],
];

const EXCLUSIVE: readonly [string, readonly (readonly string[])[]][] = [
  [
    "AWS::AutoScaling::AutoScalingGroup",
    [
      paths("MixedInstancesPolicy LaunchTemplate LaunchConfigurationName InstanceId"),
      paths("VPCZoneIdentifier AvailabilityZones AvailabilityZoneIds"),
    ],
  ],
  ["AWS::EC2::Instance", [paths("SecurityGroupIds SecurityGroups")]],
  ["AWS::EC2::Subnet", [paths("AvailabilityZone AvailabilityZoneId")]],
  ["AWS::ElasticLoadBalancingV2::LoadBalancer", [paths("SubnetMappings Subnets")]],
  ["AWS::ECS::Service", [paths("CapacityProviderStrategy LaunchType")]],
  ["AWS::Events::Rule", [paths("ScheduleExpression EventPattern")]],
];

function merged(): Map<string, OverlayRow> {
  const rows = new Map<string, OverlayRow>();
  const put = (type: string, row: OverlayRow): void => {
    rows.set(type, { ...rows.get(type), ...row });
  };
  for (const [type, text] of WRITE_ONLY) put(type, { writeOnly: paths(text) });
  for (const [type, text] of UNORDERED) put(type, { unordered: paths(text) });
  for (const [types, list] of LISTS) for (const type of types) put(type, { list });
  for (const [type, exclusive] of EXCLUSIVE) put(type, { exclusive });
  return rows;
}

export const OVERLAY: ReadonlyMap<string, OverlayRow> = merged();
