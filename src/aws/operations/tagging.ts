// What is read of the Resource Groups Tagging API.

import type { GetResourcesInput, GetResourcesOutput } from "@aws-sdk/client-resource-groups-tagging-api";

export interface TaggingReads {
  "tagging:GetResources": [GetResourcesInput, GetResourcesOutput];
}
