// What is read of S3.

import type {
  GetBucketLocationOutput,
  GetBucketLocationRequest,
  GetBucketTaggingOutput,
  GetBucketTaggingRequest,
  ListBucketsOutput,
  ListBucketsRequest,
} from "@aws-sdk/client-s3";

export interface S3Reads {
  "s3:ListBuckets": [ListBucketsRequest, ListBucketsOutput];
  "s3:GetBucketLocation": [GetBucketLocationRequest, GetBucketLocationOutput];
  "s3:GetBucketTagging": [GetBucketTaggingRequest, GetBucketTaggingOutput];
}
