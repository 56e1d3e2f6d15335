// Cloud Control: what its events mean, and what its answers are taken for.

import { describe, expect, it } from "vitest";
import type { Api } from "../../src/aws/api.js";
import { getResource, progressOf } from "../../src/aws/control.js";
import { ASYNCHRONOUS } from "../../src/aws/error-table.js";
import { codeOf, NOW, SERVICE, sandbox } from "./support.js";

const now = new Date(NOW);
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000);

describe("progress", () => {
  it.each([
    ["PENDING", "pending"],
    ["IN_PROGRESS", "pending"],
    ["CANCEL_IN_PROGRESS", "pending"],
    ["SUCCESS", "succeeded"],
    ["FAILED", "failed"],
    ["CANCEL_COMPLETE", "failed"],
    ["A_NEW_ONE", "pending"],
  ] as const)("%s is %s", (status, ours) => {
    expect(progressOf({ OperationStatus: status as "PENDING" }, "update", now).status).toBe(ours);
  });
  it("honours RetryAfter within bounds, while pending", () => {
    const event = (seconds: number, status: "PENDING" | "SUCCESS" = "PENDING") =>
      progressOf({ OperationStatus: status, RetryAfter: at(seconds) }, "update", now).retryAfterMs;
    expect(event(3)).toBe(3_000);
    expect(event(-5)).toBe(0);
    expect(event(9_999)).toBe(60_000);
    expect(event(3, "SUCCESS")).toBeUndefined();
  });
  it("every ErrorCode of Cloud Control has a code of ours", () => {
    expect(Object.keys(ASYNCHRONOUS)).toHaveLength(16);
    for (const [awsCode, { code }] of Object.entries(ASYNCHRONOUS)) {
      const event = { OperationStatus: "FAILED", ErrorCode: awsCode as "NotFound" } as const;
      expect(progressOf(event, "update", now)).toMatchObject({ status: "failed", awsCode, code });
    }
    const unheard = { OperationStatus: "FAILED", ErrorCode: "NewCode" as "NotFound" } as const;
    expect(progressOf(unheard, "update", now).code).toBe("outcome_unknown");
  });
  it("a delete of what is gone has succeeded; any other write of it has not", () => {
    const event = { OperationStatus: "FAILED", ErrorCode: "NotFound" } as const;
    expect(progressOf(event, "delete", now).status).toBe("succeeded");
    expect(progressOf(event, "update", now)).toMatchObject({ status: "failed", code: "not_found" });
  });
  it("a create that failed with an identifier left something; one that found it there did not", () => {
    const event = (ErrorCode: "AccessDenied" | "AlreadyExists") =>
      progressOf({ OperationStatus: "FAILED", ErrorCode, Identifier: "x" }, "create", now).code;
    expect(event("AccessDenied")).toBe("aws_failed");
    expect(event("AlreadyExists")).toBe("already_exists");
  });
  it("a failed hook's message stands before the handler's", () => {
    const hooks = [{ HookStatus: "HOOK_COMPLETE_FAILED", HookStatusMessage: "no\u202e public buckets" }];
    const event = {
      OperationStatus: "FAILED",
      ErrorCode: "GeneralServiceException",
      StatusMessage: "hooks failed",
    } as const;
    expect(progressOf(event, "create", now, hooks)).toMatchObject({
      message: "no public buckets",
      code: "aws_rejected",
    });
  });
});

describe("resources", () => {
  it("lists with properties, and by model", async () => {
    const aws = await sandbox().reader();
    const { items } = await aws.resources("AWS::ECS::Service", { Cluster: "prod" });
    expect(items).toMatchObject([{ id: SERVICE, properties: { DesiredCount: 4 } }]);
    expect((await aws.resources("AWS::ECS::Service", { Cluster: "other" })).items).toEqual([]);
  });
  it("pages of 25", async () => {
    const { outsider, reader } = sandbox();
    for (let n = 0; n < 30; n++) {
      const DesiredState = JSON.stringify({ BucketName: `bucket-${n}` });
      await outsider.call("cloudcontrol", "CreateResource", { TypeName: "AWS::S3::Bucket", DesiredState });
    }
    const aws = await reader();
    const first = await aws.resources("AWS::S3::Bucket", undefined);
    const second = await aws.resources("AWS::S3::Bucket", undefined, first.next);
    expect([first.items.length, second.items.length, second.next]).toEqual([25, 6, undefined]);
  });
  it("refuses a type name that is none before asking", async () => {
    const aws = await sandbox().reader();
    expect(await codeOf(aws.resource("bucket", "x"))).toBe("validation_error");
    expect(await codeOf(aws.resources("AWS::S3::Bucket/../x", undefined))).toBe("validation_error");
  });
  it.each([undefined, "", "null", "[]", "<html>"])(
    "properties %j are no resource and no absence",
    async (Properties) => {
      const api = { call: async () => ({ ResourceDescription: { Properties } }) } as unknown as Api;
      expect(await codeOf(getResource(api, "AWS::S3::Bucket", "x"))).toBe("aws_unavailable");
    },
  );
});
