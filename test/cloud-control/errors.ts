// The names Cloud Control fails with. Statuses are those of the service model.

export const exceptions = {
  AlreadyExistsException: 400,
  ClientTokenConflictException: 409,
  ConcurrentModificationException: 500,
  ConcurrentOperationException: 409,
  GeneralServiceException: 400,
  HandlerFailureException: 502,
  HandlerInternalFailureException: 502,
  InvalidCredentialsException: 401,
  InvalidRequestException: 400,
  NetworkFailureException: 502,
  NotStabilizedException: 400,
  NotUpdatableException: 400,
  PrivateTypeException: 400,
  RequestTokenNotFoundException: 404,
  ResourceConflictException: 409,
  ResourceNotFoundException: 404,
  ServiceInternalErrorException: 502,
  ServiceLimitExceededException: 400,
  ThrottlingException: 429,
  TypeNotFoundException: 404,
  UnsupportedActionException: 405,
  // Not in the service model, but what every AWS service may answer; model validation and patches fail with the first
  // (hashicorp/terraform-provider-awscc#3235, pulumi/pulumi-aws-native#1866, #581).
  ValidationException: 400,
  AccessDeniedException: 400,
  ExpiredTokenException: 400,
  UnrecognizedClientException: 400,
  InternalFailure: 500,
  ServiceUnavailable: 503,
} as const;

export type ExceptionName = keyof typeof exceptions;

export const handlerErrorCodes = [
  "AccessDenied",
  "AlreadyExists",
  "GeneralServiceException",
  "InternalFailure",
  "InvalidCredentials",
  "InvalidRequest",
  "NetworkFailure",
  "NotFound",
  "NotStabilized",
  "NotUpdatable",
  "ResourceConflict",
  "ServiceInternalError",
  "ServiceLimitExceeded",
  "ServiceTimeout",
  "Throttling",
  "UnauthorizedTaggingOperation",
] as const;

export type HandlerErrorCode = (typeof handlerErrorCodes)[number];

/** A synchronous failure. */
export class CloudControlError extends Error {
  constructor(
    readonly exception: ExceptionName,
    message: string,
  ) {
    super(message);
  }
}
