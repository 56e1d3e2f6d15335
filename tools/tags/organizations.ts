// A tagging policy out of AWS Organizations: the tag policy in force for the account, or a single one.

import { type ImportedPolicy, importedPolicy } from "../../policies/tagging/import.js";
import { type ErrorCode, OpsError } from "../../src/core/errors.js";
import type { JsonObject } from "../../src/core/json.js";
import type { ReadPorts } from "../../src/core/ports.js";
import type { MadePolicy } from "../../src/core/tagging.js";

/** The policy in force for the account, whatever it is made of. */
export const EFFECTIVE = "effective";

export interface FromAws extends ImportedPolicy {
  readonly policyId: string;
}

/** null: AWS says that there is none. @throws OpsError validation_error where it is no tag policy */
export async function fromAws({ aws, now }: Pick<ReadPorts, "aws" | "now">, policyId: string): Promise<FromAws | null> {
  const single = policyId === EFFECTIVE ? null : await aws.tagPolicies.get(policyId);
  const document = policyId === EFFECTIVE ? await aws.tagPolicies.effective() : (single?.content ?? null);
  if (document === null) return null;
  const made = importedPolicy(document, {
    ...{ now: now.toISOString(), policyId },
    ...(single?.name && { policyName: single.name }),
  });
  if ("because" in made) {
    throw new OpsError("validation_error", `The policy cannot be read as a tag policy: ${made.because}.`, {
      field: "policy_id",
      details: { policy_id: policyId },
    });
  }
  return { ...made, policyId };
}

/** What stands as long as nobody changes the organization or its permissions. */
const STANDING: Readonly<Partial<Record<ErrorCode, string>>> = {
  access_denied: "AWS denied organizations:DescribeEffectivePolicy and organizations:ListPolicies.",
  not_enabled: "The account is in no organization.",
  unsupported: "The partition has no AWS Organizations.",
  not_in_sandbox: "The sandbox has no AWS Organizations.",
  validation_error: "The tag policy of AWS Organizations cannot be converted.",
};

/** For the first tag call where there is no policy file: the policy named by the operator, else the one in force, else the first there is. */
export async function autoImported({
  aws,
  tagging,
  now,
}: Pick<ReadPorts, "aws" | "tagging" | "now">): Promise<MadePolicy> {
  if (!tagging.autoImport) return { because: "", forNow: false };
  const ports = { aws, now };
  try {
    const { policyId } = tagging.autoImport;
    const made = policyId === undefined ? await inForceOrFirst(ports) : await fromAws(ports, policyId);
    if (made) return { value: made.file as unknown as JsonObject, policyId: made.policyId };
    return { because: "AWS Organizations has no such tag policy.", forNow: false };
  } catch (error) {
    if (!(error instanceof OpsError)) throw error;
    const standing = STANDING[error.code];
    return standing === undefined
      ? { because: `AWS Organizations could not be asked (${error.code}).`, forNow: true }
      : { because: standing, forNow: false };
  }
}

async function inForceOrFirst(ports: Pick<ReadPorts, "aws" | "now">): Promise<FromAws | null> {
  try {
    const inForce = await fromAws(ports, EFFECTIVE);
    if (inForce) return inForce;
  } catch (error) {
    // Who may list policies may not have been allowed the newer call.
    if (!(error instanceof OpsError) || error.code !== "access_denied") throw error;
  }
  const [first] = await ports.aws.tagPolicies.list();
  return first ? fromAws(ports, first.id) : null;
}
