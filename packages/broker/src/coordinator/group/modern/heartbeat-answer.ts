import type { Assignment } from './assignment.ts'

/** What a heartbeat is answered in groups whose partitions the coordinator assigns. */
export interface HeartbeatAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly memberId: string | null
  readonly memberEpoch: number
  readonly heartbeatIntervalMs: number
  /** Null: as the member was told before. */
  readonly assignment: Assignment | null
}

export function heartbeatError(errorCode: number, errorMessage: string | null): HeartbeatAnswer {
  return { errorCode, errorMessage, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
}
