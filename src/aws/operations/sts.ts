// What is read of STS: who we are.

import type { GetCallerIdentityRequest, GetCallerIdentityResponse } from "@aws-sdk/client-sts";

export interface StsReads {
  "sts:GetCallerIdentity": [GetCallerIdentityRequest, GetCallerIdentityResponse];
}
