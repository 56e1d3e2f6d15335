// Which calls change what of which type, as CloudTrail names them. Data: types that are not here are judged by names alone.

/** What a call does to a resource it names: changes it at these pointers, removes it, makes it, or only uses it. */
export const GONE = "gone";
export const MADE = "made";
export const USES = "uses";

/** Event names (separated by spaces) → pointers below which they change the resource (`/` = anywhere), or the words. */
type Rows = Readonly<Record<string, string>>;

const TAGS = "/tags /Tags /name";
const RULES = "/rules /SecurityGroupIngress /SecurityGroupEgress";

const ROWS: Readonly<Record<string, Rows>> = {
  "AWS::EC2::SecurityGroup": {
    "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress":
      RULES,
    "ModifySecurityGroupRules UpdateSecurityGroupRuleDescriptionsIngress UpdateSecurityGroupRuleDescriptionsEgress":
      RULES,
    "CreateTags DeleteTags": TAGS,
    CreateSecurityGroup: MADE,
    DeleteSecurityGroup: GONE,
    "RunInstances CreateNetworkInterface ModifyNetworkInterfaceAttribute ModifyInstanceAttribute": USES,
    "CreateLoadBalancer SetSecurityGroups CreateService UpdateService CreateDBInstance ModifyDBInstance": USES,
  },
  "AWS::EC2::Instance": {
    "StartInstances StopInstances RebootInstances": "/state /publicIp /State /PublicIp",
    ModifyInstanceAttribute: "/",
    "ModifyInstanceMetadataOptions ModifyInstancePlacement ModifyInstanceCreditSpecification": "/",
    ModifyNetworkInterfaceAttribute: "/securityGroups /SecurityGroupIds /NetworkInterfaces",
    "AssociateIamInstanceProfile DisassociateIamInstanceProfile ReplaceIamInstanceProfileAssociation":
      "/IamInstanceProfile",
    "AssociateAddress DisassociateAddress": "/publicIp /PublicIp",
    "AttachVolume DetachVolume": "/Volumes /BlockDeviceMappings",
    "CreateTags DeleteTags": TAGS,
    RunInstances: MADE,
    TerminateInstances: `${GONE} /state /securityGroups /subnetId /vpcId /privateIp /publicIp`,
    "CreateImage CreateSnapshots RegisterInstancesWithLoadBalancer RegisterTargets": USES,
  },
  "AWS::ECS::Service": {
    "UpdateService UpdateServicePrimaryTaskSet": "/",
    "TagResource UntagResource": TAGS,
    CreateService: MADE,
    DeleteService: GONE,
    "RegisterScalableTarget PutScalingPolicy": USES,
  },
  "AWS::ECS::TaskDefinition": {
    "TagResource UntagResource": TAGS,
    RegisterTaskDefinition: MADE,
    "DeregisterTaskDefinition DeleteTaskDefinitions": GONE,
    "CreateService UpdateService RunTask": USES,
  },
  "AWS::ECS::Cluster": {
    "UpdateCluster UpdateClusterSettings PutClusterCapacityProviders": "/",
    "TagResource UntagResource": TAGS,
    CreateCluster: MADE,
    DeleteCluster: GONE,
    "CreateService UpdateService DeleteService RunTask": USES,
  },
  "AWS::RDS::DBInstance": {
    "ModifyDBInstance PromoteReadReplica ApplyPendingMaintenanceAction": "/",
    "StartDBInstance StopDBInstance RebootDBInstance": "/DBInstanceStatus",
    "AddRoleToDBInstance RemoveRoleFromDBInstance": "/AssociatedRoles",
    "AddTagsToResource RemoveTagsFromResource": TAGS,
    "CreateDBInstance RestoreDBInstanceFromDBSnapshot RestoreDBInstanceToPointInTime": MADE,
    DeleteDBInstance: GONE,
    "CreateDBSnapshot CreateDBInstanceReadReplica": USES,
  },
  "AWS::RDS::DBCluster": {
    "ModifyDBCluster FailoverDBCluster": "/",
    "StartDBCluster StopDBCluster": "/Status",
    "AddRoleToDBCluster RemoveRoleFromDBCluster": "/AssociatedRoles",
    "AddTagsToResource RemoveTagsFromResource": TAGS,
    "CreateDBCluster RestoreDBClusterFromSnapshot RestoreDBClusterToPointInTime": MADE,
    DeleteDBCluster: GONE,
    "CreateDBClusterSnapshot CreateDBInstance DeleteDBInstance": USES,
  },
  "AWS::S3::Bucket": {
    PutBucketVersioning: "/VersioningConfiguration",
    "PutBucketEncryption DeleteBucketEncryption": "/BucketEncryption",
    "PutBucketPublicAccessBlock DeleteBucketPublicAccessBlock": "/PublicAccessBlockConfiguration",
    PutBucketLogging: "/LoggingConfiguration",
    "PutBucketLifecycle PutBucketLifecycleConfiguration DeleteBucketLifecycle": "/LifecycleConfiguration",
    "PutBucketCors DeleteBucketCors": "/CorsConfiguration",
    "PutBucketWebsite DeleteBucketWebsite": "/WebsiteConfiguration",
    "PutBucketNotification PutBucketNotificationConfiguration": "/NotificationConfiguration",
    "PutBucketReplication DeleteBucketReplication": "/ReplicationConfiguration",
    "PutBucketOwnershipControls DeleteBucketOwnershipControls": "/OwnershipControls",
    "PutBucketObjectLockConfiguration PutObjectLockConfiguration": "/ObjectLockConfiguration",
    "PutAccelerateConfiguration PutBucketAccelerateConfiguration": "/AccelerateConfiguration",
    PutBucketAcl: "/AccessControl",
    "PutBucketTagging DeleteBucketTagging": TAGS,
    CreateBucket: MADE,
    DeleteBucket: GONE,
    "PutBucketPolicy DeleteBucketPolicy PutBucketRequestPayment": USES,
  },
  "AWS::S3::BucketPolicy": { PutBucketPolicy: "/", DeleteBucketPolicy: GONE },
  "AWS::IAM::Role": {
    UpdateAssumeRolePolicy: "/AssumeRolePolicyDocument",
    "UpdateRole UpdateRoleDescription": "/Description /MaxSessionDuration",
    "AttachRolePolicy DetachRolePolicy": "/ManagedPolicyArns",
    "PutRolePolicy DeleteRolePolicy": "/Policies",
    "PutRolePermissionsBoundary DeleteRolePermissionsBoundary": "/PermissionsBoundary",
    "TagRole UntagRole": TAGS,
    CreateRole: MADE,
    DeleteRole: GONE,
    "AddRoleToInstanceProfile RemoveRoleFromInstanceProfile PassRole": USES,
  },
  "AWS::IAM::User": {
    UpdateUser: "/UserName /Path",
    "AttachUserPolicy DetachUserPolicy": "/ManagedPolicyArns",
    "PutUserPolicy DeleteUserPolicy": "/Policies",
    "PutUserPermissionsBoundary DeleteUserPermissionsBoundary": "/PermissionsBoundary",
    "AddUserToGroup RemoveUserFromGroup": "/Groups",
    "CreateLoginProfile UpdateLoginProfile DeleteLoginProfile": "/LoginProfile",
    "TagUser UntagUser": TAGS,
    CreateUser: MADE,
    DeleteUser: GONE,
  },
  "AWS::IAM::Group": {
    UpdateGroup: "/GroupName /Path",
    "AttachGroupPolicy DetachGroupPolicy": "/ManagedPolicyArns",
    "PutGroupPolicy DeleteGroupPolicy": "/Policies",
    CreateGroup: MADE,
    DeleteGroup: GONE,
    "AddUserToGroup RemoveUserFromGroup": USES,
  },
  "AWS::IAM::ManagedPolicy": {
    "CreatePolicyVersion SetDefaultPolicyVersion DeletePolicyVersion": "/PolicyDocument",
    "AttachRolePolicy DetachRolePolicy": "/Roles",
    "AttachUserPolicy DetachUserPolicy": "/Users",
    "AttachGroupPolicy DetachGroupPolicy": "/Groups",
    "TagPolicy UntagPolicy": TAGS,
    CreatePolicy: MADE,
    DeletePolicy: GONE,
  },
};

/** Parameters that say which resource of the type a call is about: one of another value is another resource's. */
const SUBJECTS: Readonly<Record<string, readonly string[]>> = {
  "AWS::EC2::SecurityGroup": ["groupId"],
  "AWS::EC2::Instance": ["instanceId"],
  "AWS::ECS::Service": ["service", "cluster"],
  "AWS::ECS::Cluster": ["cluster"],
  "AWS::RDS::DBInstance": ["dBInstanceIdentifier"],
  "AWS::RDS::DBCluster": ["dBClusterIdentifier"],
  "AWS::S3::Bucket": ["bucketName"],
  "AWS::S3::BucketPolicy": ["bucketName"],
  "AWS::IAM::Role": ["roleName"],
  "AWS::IAM::User": ["userName"],
  "AWS::IAM::Group": ["groupName"],
  "AWS::IAM::ManagedPolicy": ["policyArn"],
};
export const subjectsOf = (type: string): readonly string[] => (Object.hasOwn(SUBJECTS, type) ? SUBJECTS[type]! : []);

const TABLE: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> = new Map(
  Object.entries(ROWS).map(([type, rows]) => [
    type,
    new Map(
      Object.entries(rows).flatMap(([names, what]) => names.split(" ").map((name) => [name, what.split(" ")] as const)),
    ),
  ]),
);

/** Services whose events come from another name than their part of the type. */
const SOURCES: Readonly<Record<string, string>> = {
  ApiGatewayV2: "apigateway",
  ApplicationAutoScaling: "application-autoscaling",
  CertificateManager: "acm",
  CloudWatch: "monitoring",
  Cognito: "cognito-idp",
  EFS: "elasticfilesystem",
  ElasticLoadBalancingV2: "elasticloadbalancing",
  Elasticsearch: "es",
  KinesisFirehose: "firehose",
  MSK: "kafka",
  OpenSearchService: "es",
  StepFunctions: "states",
};

/** @example sourceOf("AWS::EC2::SecurityGroup") // "ec2.amazonaws.com" */
export function sourceOf(type: string): string {
  const service = type.split("::")[1] ?? "";
  return `${Object.hasOwn(SOURCES, service) ? SOURCES[service] : service.toLowerCase()}.amazonaws.com`;
}

/** Whether every call that matters for a type is in the table. */
export const isTabled = (type: string): boolean => TABLE.has(type);

/** What a call does to a resource of a type it names; null where neither the table nor the names say. */
export function effectOf(type: string, eventName: string): readonly string[] | null {
  const row = TABLE.get(type);
  // Lambda's events carry the version of its API.
  const name = eventName.replace(/20\d{6}(v\d+)?$/, "");
  return row?.get(name) ?? (row ? null : byName(type, name));
}

/** Cloud Control's own calls, for any type. */
export const CONTROL_SOURCE = "cloudcontrolapi.amazonaws.com";
const CONTROL: Readonly<Record<string, readonly string[]>> = {
  UpdateResource: ["/"],
  DeleteResource: [GONE],
  CreateResource: [MADE],
};
export const controlEffect = (eventName: string): readonly string[] | null =>
  Object.hasOwn(CONTROL, eventName) ? CONTROL[eventName]! : null;

/** `SetTopicAttributes` changes a topic, `DeleteTopic` removes it; `TagResource` changes tags. */
function byName(type: string, name: string): readonly string[] | null {
  const noun = (type.split("::").at(-1) ?? "").toLowerCase();
  if (/^(Un)?[Tt]ag|^(Create|Delete|Add|Remove)Tags|Tagging$/.test(name)) return TAGS.split(" ");
  if (noun === "" || !name.toLowerCase().includes(noun)) return null;
  const bare = name.toLowerCase().endsWith(noun);
  if (/^(Delete|Terminate|Deregister|ScheduleKeyDeletion)/.test(name) && (bare || name === "ScheduleKeyDeletion")) {
    return [GONE];
  }
  if (/^(Create|Register|Run|Restore|Import)/.test(name) && bare) return [MADE];
  return /^(Update|Modify|Put|Set|Change|Attach|Detach|Associate|Disassociate|Enable|Disable|Add|Remove|Delete)/.test(
    name,
  )
    ? ["/"]
    : null;
}
