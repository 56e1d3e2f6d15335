// What AWS calls its refusals → our codes. Data. Where a write may have acted although AWS answered so, the row says it.

import type { ErrorCode } from "../core/errors.js";

export interface ErrorRow {
  readonly code: ErrorCode;
  /** The code when the call was a write; absent: the same. */
  readonly write?: ErrorCode;
}

/** What is done about a refusal of Cloud Control. */
export type Policy =
  /** Send the identical call again, under the same client token. */
  | "repeat"
  /** Make a new request of it, if a read shows that nothing was made. */
  | "again"
  /** Another operation is at work: name it, wait, plan anew. */
  | "wait"
  | "plan"
  | "ownership"
  /** Find out from live what was done. */
  | "unknown"
  | "caller"
  | "absence"
  | "tracking";

const rows = (code: ErrorCode, names: string, write?: ErrorCode): [string, ErrorRow][] =>
  names
    .trim()
    .split(/\s+/)
    .map((name) => [name, write === undefined ? { code } : { code, write }]);

/** Error names of the services, as the SDK gives them (`error.name`). */
export const SYNCHRONOUS: ReadonlyMap<string, ErrorRow> = new Map([
  ...rows(
    "credentials_expired",
    "ExpiredToken ExpiredTokenException RequestExpired TokenRefreshRequired TokenProviderError InvalidGrantException",
  ),
  ...rows(
    "credentials_invalid",
    `InvalidClientTokenId AuthFailure UnrecognizedClient UnrecognizedClientException SignatureDoesNotMatch
     InvalidSignatureException InvalidAccessKeyId IncompleteSignature IncompleteSignatureException
     MissingAuthenticationToken MissingAuthenticationTokenException InvalidCredentialsException`,
  ),
  ...rows(
    "access_denied",
    "AccessDenied AccessDeniedException UnauthorizedOperation UnauthorizedTaggingOperation NotAuthorized",
  ),
  ...rows(
    "throttled",
    `Throttling ThrottlingException ThrottledException RequestLimitExceeded RequestThrottled RequestThrottledException
     TooManyRequestsException EC2ThrottledException BandwidthLimitExceeded SlowDown PriorRequestNotComplete`,
  ),
  ...rows(
    "not_found",
    `ResourceNotFoundException RequestTokenNotFoundException DBInstanceNotFound DBInstanceNotFoundFault
     DBClusterNotFoundFault DBSnapshotNotFound DBSnapshotNotFoundFault DBClusterSnapshotNotFoundFault
     DBParameterGroupNotFound DBParameterGroupNotFoundFault DBSubnetGroupNotFoundFault OptionGroupNotFoundFault
     PolicyNotFoundException EffectivePolicyNotFoundException`,
  ),
  ...rows("not_enabled", "AWSOrganizationsNotInUseException PolicyTypeNotEnabledException"),
  ...rows("unsupported", "UnsupportedActionException TypeNotFoundException PrivateTypeException"),
  ...rows("replacement_needed", "NotUpdatableException"),
  ...rows(
    "already_exists",
    `AlreadyExistsException ResourceAlreadyExistsException InvalidGroup.Duplicate DBInstanceAlreadyExists DBInstanceAlreadyExistsFault
     DBSnapshotAlreadyExists DBSnapshotAlreadyExistsFault DBClusterSnapshotAlreadyExistsFault`,
  ),
  ...rows(
    "wrong_state",
    `InvalidDBInstanceState InvalidDBInstanceStateFault InvalidDBClusterStateFault InvalidDBSnapshotState
     InvalidDBSnapshotStateFault InvalidDBClusterSnapshotStateFault`,
  ),
  ...rows("in_use", "DependencyViolation InvalidGroup.InUse"),
  ...rows("rule_exists", "InvalidPermission.Duplicate"),
  ...rows(
    "resource_busy",
    `ConcurrentOperationException ConcurrentModificationException ResourceConflictException DeploymentLimitExceededException
     InstanceRefreshInProgressFault InstanceRefreshInProgress ScalingActivityInProgress ScalingActivityInProgressFault
     ResourceContention ResourceContentionFault`,
  ),
  // Refusals for want of room come with status 500, and have done nothing all the same.
  ...rows(
    "aws_rejected",
    // OptInRequired: the terms of a Marketplace product were not accepted.
    `OptInRequired ServiceLimitExceededException InsufficientInstanceCapacity InsufficientHostCapacity InsufficientCapacity
     InsufficientReservedInstanceCapacity InsufficientAddressCapacity InvalidRequestException`,
  ),
  // The token was used before with other parameters: an earlier call under it may have acted.
  ...rows("aws_rejected", "ClientTokenConflictException IdempotentParameterMismatch", "outcome_unknown"),
  ...rows(
    "aws_unavailable",
    `NotStabilizedException HandlerFailureException HandlerInternalFailureException GeneralServiceException
     ServiceInternalErrorException NetworkFailureException InternalFailure InternalError ServiceUnavailable Unavailable`,
    "outcome_unknown",
  ),
]);

/** EC2's family of `Invalid….NotFound`; other spellings of "not found" are too vague to mean absence. */
export const NOT_FOUND = /^Invalid[A-Za-z]+\.NotFound$/;

/**
 * Cloud Control's ErrorCode of a request that ended FAILED. `again` of a request that was refused before it did anything
 * needs no identifier to be sure; of an internal failure it needs a read that shows nothing.
 */
export const ASYNCHRONOUS: Readonly<Record<string, { readonly code: ErrorCode; readonly policy: Policy }>> = {
  NotUpdatable: { code: "replacement_needed", policy: "plan" },
  InvalidRequest: { code: "aws_rejected", policy: "plan" },
  AccessDenied: { code: "access_denied", policy: "caller" },
  UnauthorizedTaggingOperation: { code: "access_denied", policy: "caller" },
  InvalidCredentials: { code: "credentials_invalid", policy: "caller" },
  ServiceLimitExceeded: { code: "aws_rejected", policy: "caller" },
  AlreadyExists: { code: "already_exists", policy: "ownership" },
  NotFound: { code: "not_found", policy: "absence" },
  ResourceConflict: { code: "resource_busy", policy: "wait" },
  Throttling: { code: "throttled", policy: "again" },
  ServiceInternalError: { code: "outcome_unknown", policy: "again" },
  InternalFailure: { code: "outcome_unknown", policy: "again" },
  NetworkFailure: { code: "outcome_unknown", policy: "again" },
  NotStabilized: { code: "outcome_unknown", policy: "unknown" },
  GeneralServiceException: { code: "outcome_unknown", policy: "unknown" },
  ServiceTimeout: { code: "outcome_unknown", policy: "unknown" },
};

/** A service that cannot assume a new role yet, in the words of its handler: seconds later it can. */
export const ROLE_NOT_READY = /sts:AssumeRole|\brole\b[\s\S]{0,300}\bassum|\bassum[\s\S]{0,300}\brole\b/i;
/** The codes under which handlers report it. */
export const ROLE_ERRORS: ReadonlySet<string> = new Set([
  "GeneralServiceException",
  "InvalidRequest",
  "InvalidRequestException",
]);

/** Failures that come before a connection stands: the request has not left this machine. */
export const NOT_CONNECTED: ReadonlySet<string> = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "ERR_INVALID_URL",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);
