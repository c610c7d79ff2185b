import { ErrorCode } from '@millrace/protocol'

/** What clients are told when the state of a share partition could not be read or written with this error (`coordinators.md`, 4.2). */
export function clientErrorOf(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.NONE:
    case ErrorCode.GROUP_ID_NOT_FOUND:
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.OFFSET_NOT_AVAILABLE:
    case ErrorCode.NOT_LEADER_OR_FOLLOWER:
    case ErrorCode.KAFKA_STORAGE_ERROR:
      return errorCode
    case ErrorCode.NOT_COORDINATOR:
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
      return ErrorCode.COORDINATOR_NOT_AVAILABLE
    case ErrorCode.FENCED_LEADER_EPOCH:
    case ErrorCode.FENCED_STATE_EPOCH:
      return ErrorCode.NOT_LEADER_OR_FOLLOWER
    default:
      return ErrorCode.UNKNOWN_SERVER_ERROR
  }
}

/**
 * The same for ShareFetch, of which Java's consumer expects no errors of coordinators: one that it does not know ends its application. That a
 * share partition cannot be loaded now is told as what it comes to: where the group is in it cannot be told yet.
 */
export function fetchErrorOf(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
      return ErrorCode.OFFSET_NOT_AVAILABLE
    case ErrorCode.GROUP_ID_NOT_FOUND:
      return ErrorCode.UNKNOWN_SERVER_ERROR
    default:
      return errorCode
  }
}

/** The state is another's now, or gone: what is kept of it here is of no use. */
export function endsOwnership(errorCode: number): boolean {
  switch (errorCode) {
    case ErrorCode.FENCED_LEADER_EPOCH:
    case ErrorCode.FENCED_STATE_EPOCH:
    case ErrorCode.GROUP_ID_NOT_FOUND:
    case ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode.INVALID_REQUEST:
      return true
    default:
      return false
  }
}
