// What the scripted account knows of each resource type. Written from AWS's published schemas; not independently verified.
import type { Json, Properties } from "./json.js";

export type Action = "create" | "read" | "update" | "delete" | "list";

export interface Place {
  readonly account: string;
  readonly region: string;
}

/** Where a resource is made, and the source of its generated ids. */
export interface Birth extends Place {
  /** `hex` digits that differ for every resource and repeat for every run. */
  id(hex: number): string;
}

export interface TypeFacts {
  /** Every top-level property; another one is refused. */
  readonly properties: readonly string[];
  /** In schema order; several are joined by "|". */
  readonly identifier: readonly string[];
  readonly readOnly: readonly string[];
  readonly writeOnly: readonly string[];
  readonly createOnly: readonly string[];
  readonly required: readonly string[];
  /** Arrays that come back in the service's own order. */
  readonly unordered: readonly string[];
  /** What the service fills in when the caller leaves it out. */
  readonly defaults: (given: Properties, birth: Birth) => Properties;
  /** Read-only values, and a name where the caller gave none. */
  readonly issued: (given: Properties, birth: Birth) => Properties;
  /** Properties the ResourceModel of a list must hold. */
  readonly listNeeds?: readonly string[];
  /** Missing handlers answer UnsupportedActionException. */
  readonly lacks?: readonly Action[];
}

const nothing = (): Properties => ({});
const text = (value: Json | undefined): string => (typeof value === "string" ? value : "");
const arn = (service: string, { account, region }: Place, rest: string) =>
  `arn:aws:${service}:${region}:${account}:${rest}`;

const lifecycle = "LifecycleConfiguration/Rules/*";

export const types: Readonly<Record<string, TypeFacts>> = {
  "AWS::RDS::DBInstance": {
    properties: [
      ..."DBInstanceIdentifier DBInstanceArn DBInstanceClass Engine AllocatedStorage DeletionProtection".split(" "),
      ..."MasterUserPassword PubliclyAccessible StorageEncrypted Tags".split(" "),
    ],
    identifier: ["DBInstanceIdentifier"],
    readOnly: ["DBInstanceArn"],
    writeOnly: ["MasterUserPassword"],
    createOnly: ["DBInstanceIdentifier"],
    required: [],
    unordered: ["Tags"],
    defaults: nothing,
    issued: ({ DBInstanceIdentifier }, birth) => ({
      DBInstanceArn: arn("rds", birth, `db:${text(DBInstanceIdentifier)}`),
    }),
  },
  "AWS::S3::Bucket": {
    properties: [
      ..."AccelerateConfiguration AccessControl Arn BucketEncryption BucketName BucketNamePrefix BucketNamespace".split(
        " ",
      ),
      ..."CorsConfiguration DomainName DualStackDomainName LifecycleConfiguration LoggingConfiguration".split(" "),
      ..."NotificationConfiguration ObjectLockConfiguration ObjectLockEnabled OwnershipControls".split(" "),
      ..."PublicAccessBlockConfiguration RegionalDomainName ReplicationConfiguration Tags".split(" "),
      ..."VersioningConfiguration WebsiteConfiguration WebsiteURL".split(" "),
    ],
    identifier: ["BucketName"],
    readOnly: ["Arn", "DomainName", "DualStackDomainName", "RegionalDomainName", "WebsiteURL"],
    writeOnly: [
      "AccessControl",
      `${lifecycle}/NoncurrentVersionExpirationInDays`,
      `${lifecycle}/NoncurrentVersionTransition`,
      `${lifecycle}/Transition`,
      "ReplicationConfiguration/Rules/*/Prefix",
    ],
    createOnly: ["BucketName", "BucketNamePrefix", "BucketNamespace"],
    required: [],
    unordered: ["Tags"],
    defaults: () => ({
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { BucketKeyEnabled: false, ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } },
        ],
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: "BucketOwnerEnforced" }] },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
    }),
    issued: (given, { region, id }) => {
      const name = text(given.BucketName) || `bucket-${id(12)}`;
      return {
        BucketName: name,
        Arn: `arn:aws:s3:::${name}`,
        DomainName: `${name}.s3.amazonaws.com`,
        DualStackDomainName: `${name}.s3.dualstack.${region}.amazonaws.com`,
        RegionalDomainName: `${name}.s3.${region}.amazonaws.com`,
        WebsiteURL: `http://${name}.s3-website-${region}.amazonaws.com`,
      };
    },
  },
  "AWS::EC2::SecurityGroup": {
    properties: "GroupDescription GroupId GroupName Id SecurityGroupEgress SecurityGroupIngress Tags VpcId".split(" "),
    identifier: ["Id"],
    readOnly: ["GroupId", "Id"],
    writeOnly: ["SecurityGroupIngress/*/SourceSecurityGroupName"],
    createOnly: ["GroupDescription", "GroupName", "VpcId"],
    required: ["GroupDescription"],
    unordered: ["SecurityGroupEgress", "SecurityGroupIngress", "Tags"],
    defaults: () => ({
      SecurityGroupEgress: [{ CidrIp: "0.0.0.0/0", FromPort: -1, IpProtocol: "-1", ToPort: -1 }],
      VpcId: "vpc-0default",
    }),
    issued: (given, { id }) => {
      const group = `sg-${id(17)}`;
      return { GroupId: group, GroupName: given.GroupName ?? `group-${group}`, Id: group };
    },
  },
  "AWS::SSM::Parameter": {
    properties: "AllowedPattern DataType Description Name Policies Tags Tier Type Value".split(" "),
    identifier: ["Name"],
    readOnly: [],
    writeOnly: ["AllowedPattern", "Description", "Policies", "Tier"],
    createOnly: ["Name"],
    required: ["Type", "Value"],
    unordered: [],
    defaults: () => ({ DataType: "text" }),
    issued: (given, { id }) => ({ Name: given.Name ?? `parameter-${id(12)}` }),
  },
  "AWS::Logs::LogGroup": {
    properties: [
      ..."Arn DataProtectionPolicy FieldIndexPolicies KmsKeyId LogGroupClass LogGroupName".split(" "),
      ..."ResourcePolicyDocument RetentionInDays Tags".split(" "),
    ],
    identifier: ["LogGroupName"],
    readOnly: ["Arn"],
    writeOnly: [],
    createOnly: ["LogGroupName"],
    required: [],
    unordered: ["Tags"],
    defaults: () => ({ LogGroupClass: "STANDARD" }),
    issued: (given, birth) => {
      const name = text(given.LogGroupName) || `log-group-${birth.id(12)}`;
      return { LogGroupName: name, Arn: `${arn("logs", birth, `log-group:${name}`)}:*` };
    },
  },
  "AWS::IAM::Role": {
    properties: [
      ..."Arn AssumeRolePolicyDocument Description ManagedPolicyArns MaxSessionDuration Path".split(" "),
      ..."PermissionsBoundary Policies RoleId RoleName Tags".split(" "),
    ],
    identifier: ["RoleName"],
    readOnly: ["Arn", "RoleId"],
    writeOnly: [],
    createOnly: ["Path", "RoleName"],
    required: ["AssumeRolePolicyDocument"],
    unordered: ["ManagedPolicyArns", "Policies", "Tags"],
    defaults: () => ({ MaxSessionDuration: 3600, Path: "/" }),
    issued: (given, { account, id }) => {
      const name = text(given.RoleName) || `role-${id(12)}`;
      return {
        RoleName: name,
        Arn: `arn:aws:iam::${account}:role${text(given.Path) || "/"}${name}`,
        RoleId: `AROA${id(16).toUpperCase()}`,
      };
    },
  },
  "AWS::ECS::Service": {
    properties: [
      ..."AvailabilityZoneRebalancing CapacityProviderStrategy Cluster DeploymentConfiguration".split(" "),
      ..."DeploymentController DesiredCount EnableECSManagedTags EnableExecuteCommand ForceNewDeployment".split(" "),
      ..."HealthCheckGracePeriodSeconds LaunchType LoadBalancers Name NetworkConfiguration".split(" "),
      ..."PlacementConstraints PlacementStrategies PlatformVersion PropagateTags Role SchedulingStrategy".split(" "),
      ..."ServiceArn ServiceConnectConfiguration ServiceName ServiceRegistries Tags TaskDefinition".split(" "),
      "VolumeConfigurations",
    ],
    identifier: ["ServiceArn", "Cluster"],
    readOnly: ["Name", "ServiceArn"],
    writeOnly: ["ForceNewDeployment", "ServiceConnectConfiguration", "VolumeConfigurations"],
    createOnly: ["Cluster", "Role", "SchedulingStrategy", "ServiceName"],
    required: [],
    unordered: [
      "CapacityProviderStrategy",
      "LoadBalancers",
      "NetworkConfiguration/AwsvpcConfiguration/SecurityGroups",
      "NetworkConfiguration/AwsvpcConfiguration/Subnets",
      "Tags",
    ],
    defaults: (given) => ({
      Cluster: "default",
      DeploymentConfiguration: {
        DeploymentCircuitBreaker: { Enable: false, Rollback: false },
        MaximumPercent: 200,
        MinimumHealthyPercent: 100,
      },
      DeploymentController: { Type: "ECS" },
      EnableECSManagedTags: false,
      EnableExecuteCommand: false,
      SchedulingStrategy: "REPLICA",
      ...(given.SchedulingStrategy === "DAEMON" ? {} : { DesiredCount: 1 }),
    }),
    issued: (given, birth) => {
      const name = text(given.ServiceName) || `service-${birth.id(12)}`;
      const cluster = (text(given.Cluster) || "default").split("/").at(-1);
      return { ServiceName: name, Name: name, ServiceArn: arn("ecs", birth, `service/${cluster}/${name}`) };
    },
  },
  "AWS::ElasticLoadBalancingV2::Listener": {
    properties: "Certificates DefaultActions ListenerArn LoadBalancerArn Port Protocol SslPolicy".split(" "),
    identifier: ["ListenerArn"],
    readOnly: ["ListenerArn"],
    writeOnly: [],
    createOnly: ["LoadBalancerArn"],
    required: ["DefaultActions"],
    unordered: ["Certificates"],
    defaults: nothing,
    issued: (given, { id }) => ({
      ListenerArn: `${text(given.LoadBalancerArn).replace(":loadbalancer/", ":listener/")}/${id(16)}`,
    }),
    listNeeds: ["LoadBalancerArn"],
  },
  "AWS::SNS::TopicPolicy": {
    properties: "Id PolicyDocument Topics".split(" "),
    identifier: ["Id"],
    readOnly: ["Id"],
    writeOnly: [],
    createOnly: [],
    required: ["PolicyDocument", "Topics"],
    unordered: ["Topics"],
    defaults: nothing,
    issued: (_, { id }) => ({ Id: `policy-${id(12)}` }),
    lacks: ["read", "list"],
  },
};
