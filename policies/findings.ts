// What is unsafe about a resource as a plan would leave it: a small table of rules for the types we know. Pure.

import type { Level } from "./risk.js";
import { hasPorts, isWorld } from "./types.js";

/** One thing that is unsafe. `path` points into the content; nothing of a value is repeated. */
export interface Finding {
  readonly rule: string;
  readonly severity: Level;
  readonly message: string;
  readonly path: string;
}

type Doc = Readonly<Record<string, unknown>>;
type Check = (properties: Doc) => readonly string[];

interface FindingRule {
  readonly rule: string;
  readonly severity: Level;
  readonly message: string;
  /** CloudFormation types, or a pattern of them. */
  readonly types: RegExp;
  /** The pointers at fault; none where the resource is safe. */
  readonly at: Check;
}

const isDoc = (value: unknown): value is Doc => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined ? [] : [value];

// ── ingress: the same question to our own rule shape and to CloudFormation's ───────────────────────────────────────────

interface Ingress {
  readonly path: string;
  readonly peer: unknown;
  readonly from: unknown;
  readonly to: unknown;
}

function ingressOf(properties: Doc): readonly Ingress[] {
  const rows = (name: string): readonly (readonly [string, Doc])[] =>
    listOf(properties[name]).flatMap((row, index) => (isDoc(row) ? [[`/${name}/${index}`, row] as const] : []));
  const cloud = (path: string, row: Doc): Ingress => ({
    path,
    peer: row.CidrIp ?? row.CidrIpv6,
    from: hasPorts(row.IpProtocol) ? row.FromPort : undefined,
    to: row.ToPort,
  });
  return [
    ...rows("rules")
      .filter(([, row]) => row.direction === "ingress")
      .map(([path, row]) => ({
        path,
        peer: row.peer,
        from: hasPorts(row.protocol) ? row.fromPort : undefined,
        to: row.toPort,
      })),
    ...rows("SecurityGroupIngress").map(([path, row]) => cloud(path, row)),
    ...("CidrIp" in properties || "CidrIpv6" in properties ? [cloud("", properties)] : []),
  ];
}

const isOpen = ({ peer }: Ingress): boolean => isWorld(peer);
const isWeb = ({ from, to }: Ingress): boolean => from === to && (from === 80 || from === 443);

const openTo =
  (web: boolean): Check =>
  (properties) =>
    ingressOf(properties)
      .filter((rule) => isOpen(rule) && isWeb(rule) === web)
      .map(({ path }) => path);

// ── policy documents ─────────────────────────────────────────────────────────────────────────────────────────────────

interface Statement {
  readonly path: string;
  readonly principals: readonly unknown[];
  readonly actions: readonly unknown[];
  readonly resources: readonly unknown[];
  /** Whether a condition says who may: most of them say only how. */
  readonly narrowed: boolean;
}

/** Condition keys that tie a statement to somebody: what AWS takes for "not public". */
const WHO = new Set(
  `aws:principalarn aws:principalaccount aws:principalorgid aws:principalorgpaths aws:principalserviceName
   aws:sourcearn aws:sourceaccount aws:sourceorgid aws:sourceorgpaths aws:sourceowner aws:sourcevpc aws:sourcevpce
   aws:sourceip aws:userid aws:username aws:calledvia aws:viaawsservice aws:federatedprovider kms:calleraccount
   kms:viaservice s3:dataaccesspointaccount s3:dataaccesspointarn lambda:eventsourcetoken elasticfilesystem:accessedviamounttarget`
    .toLowerCase()
    .split(/\s+/),
);
const ANYTHING = /^[*?]*$/;

function narrows(condition: unknown): boolean {
  if (!isDoc(condition)) return false;
  return Object.entries(condition).some(([operator, keys]) => {
    // What is absent, unequal or `…IfExists` lets whoever brings no value in.
    if (!isDoc(keys) || /Not|^Null$|IfExists$|^ForAllValues:/i.test(operator)) return false;
    return Object.entries(keys).some(([key, value]) => {
      const values = listOf(value);
      const named = WHO.has(key.toLowerCase()) || /^saml:|^oidc|:(aud|sub)$/i.test(key);
      return named && values.length > 0 && !values.some((one) => ANYTHING.test(String(one)) || isWorld(one));
    });
  });
}

/** The statements that allow something, of every policy document in the content: as an object or as JSON text. */
function allowing(value: unknown, path = ""): readonly Statement[] {
  if (typeof value === "string") {
    if (!/^\s*\{/.test(value)) return [];
    try {
      return allowing(JSON.parse(value), path);
    } catch {
      return [];
    }
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => allowing(item, `${path}/${index}`));
  if (!isDoc(value)) return [];
  const own = "Statement" in value ? listOf(value.Statement) : [];
  const found = own.flatMap((statement, index) => {
    if (!isDoc(statement) || statement.Effect !== "Allow") return [];
    const principal = statement.Principal;
    return [
      {
        path: `${path}/Statement/${index}`,
        // Whoever allows all but a few allows all there is.
        principals: "NotPrincipal" in statement ? ["*"] : isDoc(principal) ? listOf(principal.AWS) : listOf(principal),
        actions: "NotAction" in statement ? ["*"] : listOf(statement.Action),
        resources: "NotResource" in statement ? ["*"] : listOf(statement.Resource),
        narrowed: narrows(statement.Condition),
      },
    ];
  });
  const below = Object.entries(value).flatMap(([key, member]) =>
    key === "Statement" ? [] : allowing(member, `${path}/${key}`),
  );
  return [...found, ...below];
}

const statements =
  (unsafe: (statement: Statement) => boolean): Check =>
  (properties) =>
    allowing(properties)
      .filter(unsafe)
      .map(({ path }) => path);

const anybody = ({ principals, narrowed }: Statement): boolean => principals.includes("*") && !narrowed;
/** `*`, `**` and `*:*` are the same. */
const isAll = (pattern: unknown): boolean => typeof pattern === "string" && /^\*+(:\*+)?$/.test(pattern);
const everything = ({ actions, resources }: Statement): boolean => actions.some(isAll) && resources.some(isAll);
const wholeService = ({ actions, resources }: Statement): boolean =>
  resources.some(isAll) && actions.some((action) => typeof action === "string" && /^[^:]*[^:*]:\*+$/.test(action));

// ── single values ────────────────────────────────────────────────────────────────────────────────────────────────────

const valueAt = (properties: Doc, pointer: string): unknown =>
  pointer
    .slice(1)
    .split("/")
    .reduce<unknown>((at, name) => (isDoc(at) ? at[name] : undefined), properties);

const isOff = (value: unknown): boolean => value === false || value === "false";
const isOn = (value: unknown): boolean => value === true || value === "true";

/** Unsafe where the value is not plainly on. */
const needsOn =
  (pointer: string, unless: (properties: Doc) => boolean = () => false): Check =>
  (properties) =>
    isOn(valueAt(properties, pointer)) || unless(properties) ? [] : [pointer];
/** Unsafe where the value is plainly on. */
const mustNotBeOn =
  (pointer: string): Check =>
  (properties) =>
    isOn(valueAt(properties, pointer)) ? [pointer] : [];
/** Unsafe where the value is plainly off: AWS's default is safe. */
const mustNotBeOff =
  (...pointers: string[]): Check =>
  (properties) =>
    pointers.filter((pointer) => isOff(valueAt(properties, pointer)));

const BLOCK = "/PublicAccessBlockConfiguration";
const IAM = /^AWS::(IAM::(Role|User|Group|ManagedPolicy|Policy|RolePolicy|UserPolicy|GroupPolicy)|SSO::PermissionSet)$/;
const RESOURCE_POLICY =
  /^AWS::(S3::BucketPolicy|S3::MultiRegionAccessPointPolicy|SQS::Queue(Inline)?Policy|SNS::Topic(Inline)?Policy|KMS::(Replica)?Key|SecretsManager::ResourcePolicy|ECR::(Repository|RegistryPolicy)|IAM::Role|Lambda::Permission|OpenSearchService::Domain|S3::AccessPoint|EFS::FileSystem|Events::EventBus(Policy)?|Logs::ResourcePolicy|Backup::BackupVault|CodeArtifact::(Domain|Repository))$/;
const ADMINISTRATOR = /^arn:[a-z-]+:iam::aws:policy\/(AdministratorAccess|IAMFullAccess|PowerUserAccess)$/;
/** Their storage is their cluster's. */
const inCluster = ({ DBClusterIdentifier, Engine }: Doc): boolean =>
  DBClusterIdentifier !== undefined || (typeof Engine === "string" && Engine.startsWith("aurora"));

const RULES: readonly FindingRule[] = [
  {
    rule: "open-port",
    severity: "critical",
    message: "lets the whole internet in on a port that is not 80 or 443",
    types: /^AWS::EC2::SecurityGroup(Ingress)?$/,
    at: openTo(false),
  },
  {
    rule: "open-web-port",
    severity: "medium",
    message: "lets the whole internet in on a web port",
    types: /^AWS::EC2::SecurityGroup(Ingress)?$/,
    at: openTo(true),
  },
  {
    rule: "public-bucket-acl",
    severity: "critical",
    message: "the bucket's ACL is public",
    types: /^AWS::S3::Bucket$/,
    at: ({ AccessControl }) =>
      typeof AccessControl === "string" && /^Public/.test(AccessControl) ? ["/AccessControl"] : [],
  },
  {
    rule: "public-access-not-blocked",
    severity: "high",
    message: "a block on public access is switched off",
    types: /^AWS::S3::(Bucket|AccessPoint)$/,
    at: mustNotBeOff(
      `${BLOCK}/BlockPublicAcls`,
      `${BLOCK}/BlockPublicPolicy`,
      `${BLOCK}/IgnorePublicAcls`,
      `${BLOCK}/RestrictPublicBuckets`,
    ),
  },
  {
    rule: "public-policy",
    severity: "critical",
    message: "a policy lets anybody in, without a condition",
    types: RESOURCE_POLICY,
    at: statements(anybody),
  },
  {
    rule: "public-function",
    severity: "critical",
    message: "anybody may invoke the function",
    types: /^AWS::Lambda::Permission$/,
    at: ({ Principal, SourceArn, SourceAccount, PrincipalOrgID }) =>
      Principal === "*" && !SourceArn && !SourceAccount && !PrincipalOrgID ? ["/Principal"] : [],
  },
  {
    rule: "public-function",
    severity: "critical",
    message: "anybody may call the function's address",
    types: /^AWS::Lambda::Url$/,
    at: ({ AuthType }) => (AuthType === "NONE" ? ["/AuthType"] : []),
  },
  {
    rule: "administrator",
    severity: "critical",
    message: "a policy of AWS's that allows nearly everything is attached",
    types: IAM,
    at: (properties) =>
      ["ManagedPolicyArns", "ManagedPolicies"].flatMap((name) =>
        listOf(properties[name]).flatMap((arn, index) =>
          ADMINISTRATOR.test(String(arn)) ? [`/${name}/${index}`] : [],
        ),
      ),
  },
  {
    rule: "allow-everything",
    severity: "critical",
    message: "a policy allows every action on every resource",
    types: IAM,
    at: statements(everything),
  },
  {
    rule: "allow-whole-service",
    severity: "high",
    message: "a policy allows every action of a service on every resource",
    types: IAM,
    at: statements(wholeService),
  },
  {
    rule: "public-database",
    severity: "high",
    message: "the database has a public address",
    types: /^AWS::(RDS::DB(Instance|Cluster)|Redshift::Cluster|DMS::ReplicationInstance)$/,
    at: mustNotBeOn("/PubliclyAccessible"),
  },
  {
    rule: "unencrypted-database",
    severity: "high",
    message: "the database's storage is not encrypted; this can only be chosen when it is made",
    types: /^AWS::RDS::DB(Instance|Cluster)$/,
    at: (properties) =>
      properties.SnapshotIdentifier || properties.DBSnapshotIdentifier || properties.SourceDBInstanceIdentifier
        ? []
        : needsOn("/StorageEncrypted", (given) => "DBInstanceClass" in given && inCluster(given))(properties),
  },
  {
    rule: "unencrypted-volume",
    severity: "medium",
    message: "the volume is not encrypted, unless the account encrypts by default",
    types: /^AWS::EC2::Volume$/,
    at: needsOn("/Encrypted", ({ SnapshotId }) => SnapshotId !== undefined),
  },
  {
    rule: "unencrypted-file-system",
    severity: "high",
    message: "the file system is not encrypted; this can only be chosen when it is made",
    types: /^AWS::EFS::FileSystem$/,
    at: needsOn("/Encrypted"),
  },
  {
    rule: "unencrypted-cluster",
    severity: "high",
    message: "the cluster's storage is not encrypted",
    types: /^AWS::(Redshift|Neptune|DocDB)::(DB)?Cluster$/,
    at: ({ Encrypted, StorageEncrypted }) =>
      isOn(Encrypted) || isOn(StorageEncrypted) ? [] : [Encrypted === undefined ? "/StorageEncrypted" : "/Encrypted"],
  },
  {
    rule: "unencrypted-cache",
    severity: "high",
    message: "the cache is not encrypted at rest",
    types: /^AWS::ElastiCache::ReplicationGroup$/,
    at: needsOn("/AtRestEncryptionEnabled"),
  },
  {
    rule: "unencrypted-search",
    severity: "high",
    message: "the search domain is not encrypted at rest",
    types: /^AWS::OpenSearchService::Domain$/,
    at: needsOn("/EncryptionAtRestOptions/Enabled"),
  },
  {
    rule: "unencrypted-queue",
    severity: "medium",
    message: "the queue's encryption is switched off",
    types: /^AWS::SQS::Queue$/,
    at: (properties) => (properties.KmsMasterKeyId ? [] : mustNotBeOff("/SqsManagedSseEnabled")(properties)),
  },
  {
    rule: "no-backups",
    severity: "medium",
    message: "automatic backups are switched off",
    types: /^AWS::RDS::DB(Instance|Cluster)$/,
    at: ({ BackupRetentionPeriod }) => (BackupRetentionPeriod === 0 ? ["/BackupRetentionPeriod"] : []),
  },
  {
    rule: "imds-v1",
    severity: "medium",
    message: "the instance answers metadata requests without a token (IMDSv1)",
    types: /^AWS::EC2::Instance$/,
    at: (properties) =>
      valueAt(properties, "/MetadataOptions/HttpTokens") === "optional" ? ["/MetadataOptions/HttpTokens"] : [],
  },
  {
    rule: "key-rotation-off",
    severity: "low",
    message: "the key's automatic rotation is switched off",
    types: /^AWS::KMS::Key$/,
    at: mustNotBeOff("/EnableKeyRotation"),
  },
  {
    rule: "trail-validation-off",
    severity: "high",
    message: "the trail's log files are not validated",
    types: /^AWS::CloudTrail::Trail$/,
    at: mustNotBeOff("/EnableLogFileValidation"),
  },
];

/** How many rules speak of a type. */
export const rulesFor = (type: string): number => RULES.filter(({ types }) => types.test(type)).length;

/**
 * What is unsafe about a content of this type. Knows nothing of other types, and says nothing then.
 * @example findingsOf("AWS::RDS::DBInstance", { PubliclyAccessible: true, StorageEncrypted: true })[0]!.rule // "public-database"
 */
export const findingsOf = (type: string, properties: Doc): readonly Finding[] =>
  RULES.filter(({ types }) => types.test(type)).flatMap(({ rule, severity, message, at }) =>
    at(properties).map((path) => ({ rule, severity, message, path })),
  );
