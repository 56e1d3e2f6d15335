// What is read of IAM: what the account is called.

import type { ListAccountAliasesRequest, ListAccountAliasesResponse } from "@aws-sdk/client-iam";

export interface IamReads {
  "iam:ListAccountAliases": [ListAccountAliasesRequest, ListAccountAliasesResponse];
}
