// AWS's key service, for the keys of the state store: the two calls that compute and change nothing.

import type {
  DecryptRequest,
  DecryptResponse,
  GenerateDataKeyRequest,
  GenerateDataKeyResponse,
} from "@aws-sdk/client-kms";
import { OpsError } from "../core/errors.js";
import type { Kms } from "../core/ports.js";
import type { Api } from "./api.js";

export interface KmsOperations {
  "kms:GenerateDataKey": [GenerateDataKeyRequest, GenerateDataKeyResponse];
  "kms:Decrypt": [DecryptRequest, DecryptResponse];
}

/** The region of an ARN is the key's own. */
const regionOf = (keyId: string): string | undefined => /^arn:[^:]+:kms:([^:]+):/.exec(keyId)?.[1];

/** @param home the configured region, for a key that is named by an alias alone */
export function kmsOf(api: (region: string) => Api<KmsOperations>, home: () => Promise<string | undefined>): Kms {
  async function at(keyId: string): Promise<Api<KmsOperations>> {
    const region = regionOf(keyId) ?? (await home());
    if (region === undefined) {
      throw new OpsError(
        "region_missing",
        `${keyId} names no region and none is configured. Give the ARN or --region.`,
      );
    }
    return api(region);
  }

  const whole = <T>(value: T | undefined): T => {
    if (value === undefined) throw new OpsError("internal", "KMS answered without a key.");
    return value;
  };

  return {
    async generate(keyId, context) {
      const kms = await at(keyId);
      const made = await kms.call("kms", "GenerateDataKey", {
        KeyId: keyId,
        KeySpec: "AES_256",
        EncryptionContext: { ...context },
      });
      return { keyId: whole(made.KeyId), key: whole(made.Plaintext), ciphertext: whole(made.CiphertextBlob) };
    },
    async decrypt(keyId, ciphertext, context) {
      const kms = await at(keyId);
      const { Plaintext } = await kms.call("kms", "Decrypt", {
        KeyId: keyId,
        CiphertextBlob: ciphertext,
        EncryptionContext: { ...context },
      });
      return whole(Plaintext);
    },
  };
}
