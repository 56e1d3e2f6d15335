// What AWS calls its refusals → our codes. Data. Where a write may have acted although AWS answered so, the row says it.

import type { ErrorCode } from "../core/errors.js";

export interface ErrorRow {
  readonly code: ErrorCode;
  /** The code when the call was a write; absent: the same. */
  readonly write?: ErrorCode;
}

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
     MissingAuthenticationToken MissingAuthenticationTokenException InvalidCredentialsException OptInRequired`,
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
  ...rows("not_found", "ResourceNotFoundException RequestTokenNotFoundException"),
  ...rows("unsupported", "UnsupportedActionException TypeNotFoundException PrivateTypeException"),
  ...rows("replacement_needed", "NotUpdatableException"),
  ...rows("already_exists", "AlreadyExistsException InvalidGroup.Duplicate"),
  ...rows("rule_exists", "InvalidPermission.Duplicate"),
  ...rows("resource_busy", "ConcurrentOperationException ConcurrentModificationException ResourceConflictException"),
  // Refusals for want of room come with status 500, and have done nothing all the same.
  ...rows(
    "aws_rejected",
    `ServiceLimitExceededException InsufficientInstanceCapacity InsufficientHostCapacity InsufficientCapacity
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

/** Cloud Control's ErrorCode of a request that ended FAILED. */
export const ASYNCHRONOUS: Readonly<Record<string, ErrorCode>> = {
  NotUpdatable: "replacement_needed",
  InvalidRequest: "aws_rejected",
  AccessDenied: "access_denied",
  UnauthorizedTaggingOperation: "access_denied",
  InvalidCredentials: "credentials_invalid",
  AlreadyExists: "already_exists",
  NotFound: "not_found",
  ResourceConflict: "resource_busy",
  Throttling: "throttled",
  ServiceLimitExceeded: "aws_rejected",
  NotStabilized: "outcome_unknown",
  GeneralServiceException: "outcome_unknown",
  ServiceInternalError: "outcome_unknown",
  ServiceTimeout: "outcome_unknown",
  NetworkFailure: "outcome_unknown",
  InternalFailure: "outcome_unknown",
};

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
