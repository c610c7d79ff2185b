import { ErrorCode } from '@millrace/protocol'

/**
 * What the ACL APIs answer without an authorizer, as Kafka: an ACL that is taken and that nobody enforces would be worse than none.
 */
export const NO_AUTHORIZER = {
  errorCode: ErrorCode.SECURITY_DISABLED,
  errorMessage: 'No Authorizer is configured.',
} as const
