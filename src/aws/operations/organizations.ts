// What is read of AWS Organizations: tag policies.

import type {
  DescribeEffectivePolicyRequest,
  DescribeEffectivePolicyResponse,
  DescribePolicyRequest,
  DescribePolicyResponse,
  ListPoliciesRequest,
  ListPoliciesResponse,
} from "@aws-sdk/client-organizations";

export interface OrganizationsReads {
  "organizations:DescribeEffectivePolicy": [DescribeEffectivePolicyRequest, DescribeEffectivePolicyResponse];
  "organizations:ListPolicies": [ListPoliciesRequest, ListPoliciesResponse];
  "organizations:DescribePolicy": [DescribePolicyRequest, DescribePolicyResponse];
}
