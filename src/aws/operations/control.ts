// What is read through Cloud Control, of its registry and of CloudTrail.

import type {
  GetResourceInput,
  GetResourceOutput,
  GetResourceRequestStatusInput,
  GetResourceRequestStatusOutput,
  ListResourceRequestsInput,
  ListResourceRequestsOutput,
  ListResourcesInput,
  ListResourcesOutput,
} from "@aws-sdk/client-cloudcontrol";
import type { DescribeTypeInput, DescribeTypeOutput } from "@aws-sdk/client-cloudformation";
import type { LookupEventsRequest, LookupEventsResponse } from "@aws-sdk/client-cloudtrail";

export interface ControlReads {
  "cloudcontrol:GetResource": [GetResourceInput, GetResourceOutput];
  "cloudcontrol:ListResources": [ListResourcesInput, ListResourcesOutput];
  "cloudcontrol:GetResourceRequestStatus": [GetResourceRequestStatusInput, GetResourceRequestStatusOutput];
  "cloudcontrol:ListResourceRequests": [ListResourceRequestsInput, ListResourceRequestsOutput];
  "cloudformation:DescribeType": [DescribeTypeInput, DescribeTypeOutput];
  "cloudtrail:LookupEvents": [LookupEventsRequest, LookupEventsResponse];
}
