import { ErrorCode, errorInfo, type MetadataResponseTopic } from '@millrace/protocol'

/** What all members of a run have in common. */
export interface GroupPlan {
  readonly port: number
  readonly groupId: string
  readonly topic: string
  readonly topicId: MetadataResponseTopic['topicId']
  readonly partitionCount: number
  readonly memberCount: number
  readonly sessionTimeoutMs: number
  readonly heartbeatMs: number
}

/** What a member tells whoever watches. */
export interface MemberEvents {
  /** It has these partitions from now on. True if they are not those that it had. */
  onOwned(member: number, partitions: readonly number[]): boolean
  /** How long a heartbeat took. */
  onHeartbeat(ms: number): void
  /** Something came that must not. It takes part no more. */
  onFailed(error: Error): void
}

/** A member of a group as a consumer is one, but for the records: it joins, tells that it is there, and does what it is told. */
export interface Member {
  /** The connection is there. */
  connect(): Promise<void>
  /** Takes part from now on. */
  start(): void
  /** Takes its leave as a consumer that is closed does, and ends its connection. Resolves once that is answered. */
  leave(): Promise<void>
  /** Its connection ends, as that of a process that was killed does. */
  vanish(): void
}

/** After which a request is sent again that the coordinator could not answer for a moment. */
export const RETRY_MS = 100

/** Whether the same is to be asked again, a moment later; throws for what must not come. */
export function isRetriable(api: string, errorCode: number): boolean {
  switch (errorCode) {
    case ErrorCode.NONE:
      return false
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.NOT_COORDINATOR:
      return true
    default:
      throw new Error(`${api}: ${errorInfo(errorCode).name}`)
  }
}
