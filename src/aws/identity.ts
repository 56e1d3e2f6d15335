// Who we are to AWS. Asked once per set of credentials, and again when they change or expire.

import { OpsError } from "../core/errors.js";
import { toItsEnd } from "../core/given-up.js";
import type { Identity } from "../core/ports.js";
import type { Api } from "./api.js";
import type { Credentials } from "./clients.js";

/** The SDK's marks for the provider in a chain that found the credentials, most telling first. */
const SOURCES: readonly (readonly [mark: string, words: string])[] = [
  ["SANDBOX", "sandbox"],
  ["CREDENTIALS_STS_ASSUME_ROLE", "assumed role"],
  ["CREDENTIALS_PROFILE_SSO", "SSO profile"],
  ["CREDENTIALS_PROFILE_SSO_LEGACY", "SSO profile"],
  ["CREDENTIALS_SSO", "SSO"],
  ["CREDENTIALS_SSO_LEGACY", "SSO"],
  ["CREDENTIALS_PROFILE_LOGIN", "aws login"],
  ["CREDENTIALS_LOGIN", "aws login"],
  ["CREDENTIALS_PROFILE_PROCESS", "profile's credential process"],
  ["CREDENTIALS_PROCESS", "credential process"],
  ["CREDENTIALS_STS_ASSUME_ROLE_WEB_ID", "web identity"],
  ["CREDENTIALS_PROFILE", "profile"],
  ["CREDENTIALS_ENV_VARS", "environment variables"],
  ["CREDENTIALS_HTTP", "container role"],
  ["CREDENTIALS_IMDS", "instance role"],
];

export function credentialSource({ $source = {} }: Pick<Credentials, "$source">, roleArn?: string): string {
  const found = SOURCES.find(([mark]) => mark in $source)?.[1];
  if (roleArn !== undefined)
    return found === undefined || found === "assumed role" ? "assumed role" : `role assumed from ${found}`;
  return found ?? "default chain";
}

export async function askIdentity(api: Api, source: string, expiry?: Date): Promise<Identity> {
  const { Account, Arn } = await api.call("sts", "GetCallerIdentity", {});
  if (!Account || !Arn) {
    throw new OpsError("aws_unavailable", "AWS did not say which account these credentials belong to. Call again.");
  }
  return {
    account: Account,
    arn: Arn,
    credentialSource: source,
    ...(expiry && { credentialExpiry: expiry.toISOString() }),
  };
}

/** The identity of the credentials in use now; concurrent callers share one question, and a failure is not kept. */
export function identityOf(
  credentials: () => Promise<Credentials>,
  roleArn: string | undefined,
): (api: Api) => Promise<Identity> {
  let last: { readonly key: string; readonly identity: Promise<Identity> } | undefined;
  return async (api) => {
    const current = await credentials();
    const key = `${current.accessKeyId} ${current.expiration?.getTime() ?? ""}`;
    if (last?.key !== key) {
      const identity = toItsEnd(() => askIdentity(api, credentialSource(current, roleArn), current.expiration));
      const asked = { key, identity };
      last = asked;
      asked.identity.catch(() => {
        if (last === asked) last = undefined;
      });
    }
    return last.identity;
  };
}
