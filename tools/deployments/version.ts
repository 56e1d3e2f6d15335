// What a version is to each provider: an image or a task definition, a revision of an application, a launch template's version.

import type { Deployment, DeployTarget, TemplateUse } from "../../src/core/content/deployments.js";
import { OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { AwsReader } from "../../src/core/ports.js";
import { shownName } from "./target.js";

/** A version that can be brought out. `register`: a task definition that does not exist yet, from one that does. */
export type Wanted =
  | { readonly kind: "definition"; readonly version: string; readonly images: Images; readonly register?: Register }
  | { readonly kind: "revision"; readonly version: string; readonly revision: JsonObject }
  | { readonly kind: "template"; readonly version: string; readonly template: TemplateUse };
type Images = Readonly<Record<string, string>>;
interface Register {
  readonly from: string;
  readonly images: Images;
}

const DEFINITION = /^[A-Za-z0-9_-]{1,255}:\d+$/;
const IMAGE = /^[\w.\-/:]{1,600}(@sha256:[0-9a-f]{64})?$/;
const TAG = /^[\w][\w.-]{0,127}$/;

/** An image without its tag and digest. */
export function repositoryOf(image: string): string {
  const bare = image.split("@")[0]!;
  const colon = bare.lastIndexOf(":");
  return colon > bare.lastIndexOf("/") ? bare.slice(0, colon) : bare;
}

const invalid = (field: string, message: string, details: JsonObject = {}): OpsError =>
  new OpsError("validation_error", message, { field, details });

/** @throws OpsError validation_error, not_found, nothing_to_change: with the field and the call that helps */
export async function wantedOf(
  aws: AwsReader,
  target: DeployTarget,
  version: string,
  container: string | undefined,
  field = "version",
): Promise<Wanted> {
  switch (target.provider) {
    case "ecs":
      return definitionOf(aws, target, target.content.taskDefinition, version, container, field);
    case "codedeploy":
      return target.content.computePlatform === "ECS" && !/^(s3|github):/.test(version)
        ? definitionOf(aws, target, target.content.version ?? "", version, container, field)
        : revisionOf(version, field);
    case "instance-refresh":
      return templateOf(aws, target.content.groupName, version, field);
  }
}

async function definitionOf(
  aws: AwsReader,
  target: DeployTarget,
  running: string,
  version: string,
  container: string | undefined,
  field: string,
): Promise<Wanted> {
  const name = version.startsWith("arn:") ? version.split("/").at(-1)! : version;
  const live = await aws.get("AWS::ECS::TaskDefinition", running);
  const images: Images = live?.images ?? {};
  // `nginx:2` is an image where a container runs nginx, and else a revision of the task definition nginx.
  const family = name.split(":")[0]!;
  const isImage = Object.values(images).some((image) => repositoryOf(image) === family) && family !== live?.family;
  if (DEFINITION.test(name) && !isImage) {
    const found = await aws.get("AWS::ECS::TaskDefinition", name);
    if (found?.status === "ACTIVE") return { kind: "definition", version: found.taskDefinition, images: found.images };
    throw new OpsError(
      "not_found",
      found
        ? `Task definition ${name} was deregistered (${found.status}): ECS starts nothing from it any more. Deploy its image instead.`
        : `ECS has no task definition ${name} in account ${aws.account}, ${aws.region}. Nothing was planned.`,
      {
        field,
        details: { version: name, ...(found && { images: found.images }) },
        next: [{ tool: "deployments.list", arguments: { service: shownName(target), region: aws.region } }],
      },
    );
  }
  if (!live) {
    throw new OpsError(
      "not_found",
      "What the service runs has no task definition that can be read, so none can be made from it. Nothing was planned; give a task definition as version.",
      { field, details: { taskDefinition: running } },
    );
  }
  const which = containerOf(images, name, container, field);
  const image = TAG.test(name) ? `${repositoryOf(images[which]!)}:${name}` : name;
  if (!IMAGE.test(image)) throw invalid(field, "is no image, tag, digest or task definition.");
  if (images[which] === image) {
    throw new OpsError("nothing_to_change", `Container ${which} already runs this image by ${running}.`, {
      field,
      details: { image, taskDefinition: running },
    });
  }
  const changed = { ...images, [which]: image };
  return {
    kind: "definition",
    version: "new",
    images: changed,
    register: { from: running, images: { [which]: image } },
  };
}

/** The container an image is for: the one that was named, the only one, or the only one of its repository. */
function containerOf(images: Images, name: string, container: string | undefined, field: string): string {
  const names = Object.keys(images);
  if (container !== undefined) {
    if (names.includes(container)) return container;
    throw invalid("container", "is no container of what runs.", { containers: names });
  }
  if (names.length === 1) return names[0]!;
  const same = names.filter((one) => repositoryOf(images[one]!) === repositoryOf(name));
  if (same.length === 1) return same[0]!;
  throw invalid(
    field === "version" ? "container" : field,
    "is needed: the task has several containers, and the image does not tell which of them it is for.",
    { containers: names, images: { ...images } },
  );
}

const BUNDLES: readonly (readonly [RegExp, string])[] = [
  [/\.(tgz|tar\.gz)$/i, "tgz"],
  [/\.tar$/i, "tar"],
  [/\.zip$/i, "zip"],
  [/\.ya?ml$/i, "YAML"],
  [/\.json$/i, "JSON"],
];

/** @example revisionOf("s3://bucket/app.zip?versionId=3") // revision.s3Location.version === "3" */
export function revisionOf(version: string, field = "version"): Wanted {
  const s3 = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/([^?]+)(?:\?(versionId|etag)=(.+))?$/.exec(version);
  const git = /^github:([\w.-]+\/[\w.-]+)@([0-9a-f]{7,40})$/.exec(version);
  if (git) {
    const gitHubLocation = { repository: git[1]!, commitId: git[2]! };
    return { kind: "revision", version, revision: { revisionType: "GitHub", gitHubLocation } };
  }
  const bundleType = BUNDLES.find(([name]) => s3 && name.test(s3[2]!))?.[1];
  if (!s3 || bundleType === undefined) {
    throw invalid(
      field,
      "must look like s3://bucket/app.zip (zip, tar, tgz, yaml or json; ?versionId=… or ?etag=… for an exact object) or github:owner/repo@commit.",
    );
  }
  const [, bucket, key, kind, exact] = s3 as unknown as [string, string, string, string?, string?];
  const s3Location = {
    bucket,
    key,
    bundleType,
    ...(kind === "versionId" && { version: exact! }),
    ...(kind === "etag" && { eTag: exact! }),
  };
  return { kind: "revision", version, revision: { revisionType: "S3", s3Location } };
}

async function templateOf(aws: AwsReader, groupName: string, version: string, field: string): Promise<Wanted> {
  const template = await aws.deployments.template(groupName);
  if (!template) {
    throw new OpsError(
      "unsupported",
      "This Auto Scaling group makes its instances without a launch template of its own, or as a mix: there is no one version to bring out.",
      { field: "service", next: [{ tool: "deployments.get", arguments: { service: groupName, region: aws.region } }] },
    );
  }
  if (!/^(\d+|\$Latest|\$Default)$/.test(version)) {
    throw invalid(field, "must be the number of a launch template version, $Latest or $Default.");
  }
  const number = await aws.deployments.templateVersion(template.id, version);
  if (number === null) {
    throw new OpsError("not_found", `Launch template ${template.id} has no version ${version}. Nothing was planned.`, {
      field,
      details: { launchTemplate: template.id, version, runs: template.version },
    });
  }
  return { kind: "template", version: number, template };
}

/** The version of a deployment once more. What AWS has let go meanwhile is refused here, not by a failing deployment. */
export async function againOf(aws: AwsReader, target: DeployTarget, deployment: Deployment): Promise<Wanted> {
  if (target.provider === "codedeploy" && deployment.again) {
    return { kind: "revision", version: deployment.version, revision: deployment.again };
  }
  return wantedOf(aws, target, deployment.version, undefined, "to");
}
