// Tag policies of AWS Organizations, listed and taken over as the tagging policy. AWS is only read.

import { z } from "zod";
import { OpsError } from "../../src/core/errors.js";
import type { Json, JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import { type ReadResult, read } from "../../src/core/tool.js";
import { EFFECTIVE, fromAws } from "./organizations.js";

const Row = z.object({ policy_id: z.string(), policy_name: z.string(), description: z.string() });

export const importPolicy = read({
  title: "Import a tag policy of AWS Organizations",
  description:
    "Tag policies of AWS Organizations: without policy_id they are listed; with one (`effective` is what is in force for this account, which any account may read) it becomes the tagging policy, at once. enforced_for and report_required_tag_for make a tag required. The file that is replaced is kept; AWS is not changed.",
  scope: "region",
  foreignText: true,
  input: z.object({
    policy_id: z
      .string()
      .regex(/^(effective|p-[0-9a-zA-Z_]{8,128})$/, "must be effective, or look like p-0123456789")
      .optional(),
    save_to_file: z.boolean().default(true).describe("false: only show what it would be"),
    output_path: z.string().min(1).max(1_024).optional().describe("Another .json file of the policy's folder"),
  }),
  output: z.object({
    status: z.enum(["success", "saved", "listed"]),
    policy: z.looseObject({}).optional(),
    saved_to: z.string().optional(),
    kept: z.string().optional(),
    in_force: z.boolean().optional(),
    summary: z
      .object({
        required_tags_count: z.number(),
        optional_tags_count: z.number(),
        enforced_services: z.array(z.string()),
      })
      .optional(),
    available_policies: z.array(Row).optional(),
    warnings: z.array(z.string()).optional(),
    not_read: z.array(z.string()).optional(),
    message: z.string(),
    conversion_timestamp: z.string().optional(),
  }),
  run: ({ policy_id, save_to_file, output_path }, ports) =>
    policy_id === undefined ? listed(ports) : imported(ports, policy_id, save_to_file, output_path),
});

const DENIED = ["organizations:DescribeEffectivePolicy", "organizations:ListPolicies", "organizations:DescribePolicy"];

/** What AWS answered, or why it did not. */
const orFailure = <T>(work: Promise<T>): Promise<T | OpsError> =>
  work.catch((error: unknown) => {
    if (error instanceof OpsError) return error;
    throw error;
  });

async function listed({ aws }: ReadPorts): Promise<ReadResult> {
  const [effective, single] = await Promise.all([
    orFailure(aws.tagPolicies.effective()),
    orFailure(aws.tagPolicies.list()),
  ]);
  if (effective instanceof OpsError && single instanceof OpsError) throw denied(single);
  const inForce =
    effective === null || effective instanceof OpsError
      ? []
      : [{ policy_id: EFFECTIVE, policy_name: "", description: "What is in force for this account, from all of them" }];
  const rows = single instanceof OpsError ? [] : single;
  const available = [
    ...inForce,
    ...rows.map(({ id, name, description }) => ({ policy_id: id, policy_name: name, description })),
  ];
  const missing = [
    ...(effective instanceof OpsError ? [`${EFFECTIVE}: ${effective.code}`] : []),
    ...(single instanceof OpsError ? [`organizations:ListPolicies: ${single.code}`] : []),
  ];
  return {
    data: {
      status: "listed",
      available_policies: available,
      not_read: missing,
      message:
        missing.length > 0
          ? "Not all of them could be read; see not_read. Single policies are shown to the management account and its delegates only."
          : available.length === 0
            ? "The organization has no tag policies."
            : "Import one by its policy_id.",
    },
  };
}

/** Where it is the permission that is missing, it is named. */
const denied = (error: OpsError): OpsError =>
  error.code !== "access_denied"
    ? error
    : new OpsError(
        "access_denied",
        "AWS denied the tag policies of the organization; the policy file was left as it is. An administrator can grant the actions in `actions`.",
        { details: { status: "error", actions: DENIED }, cause: error },
      );

async function imported(
  ports: ReadPorts,
  policyId: string,
  save: boolean,
  outputPath: string | undefined,
): Promise<ReadResult> {
  const made = await orFailure(fromAws(ports, policyId));
  if (made instanceof OpsError) throw denied(made);
  if (made === null) {
    throw new OpsError("not_found", "AWS Organizations has no such tag policy; the policy file was left as it is.", {
      field: "policy_id",
      details: { policy_id: policyId },
      next: [{ tool: "tags.importPolicy", arguments: {} }],
    });
  }
  const { file, services, warnings } = made;
  const written = save ? await ports.tagging.files.writePolicy(file as unknown as JsonObject, outputPath) : null;
  return {
    data: {
      status: written ? "saved" : "success",
      policy: file as unknown as Json,
      summary: {
        required_tags_count: file.required_tags.length,
        optional_tags_count: file.optional_tags.length,
        enforced_services: [...services],
      },
      warnings: [...warnings],
      ...(written && { saved_to: written.path, in_force: written.inForce }),
      ...(written?.kept && { kept: written.kept }),
      message: written
        ? written.inForce
          ? "It is the tagging policy from now on. AWS itself requires no tag to be there: what it enforces for a type is judged as required here."
          : "It was written and is not in force: name it with --policy-path."
        : "Nothing was written.",
      conversion_timestamp: ports.now.toISOString(),
    },
  };
}
