import type { Assignment } from '../modern/assignment.ts'

/** A ConsumerGroupHeartbeat request, freed of its version. */
export interface ConsumerHeartbeatInput {
  readonly groupId: string
  /** Empty: version 0 of the request, in which the coordinator gives ids out. */
  readonly memberId: string
  /** 0: the member joins; -1: it leaves; -2: it leaves for a while. */
  readonly memberEpoch: number
  readonly instanceId: string | null
  /** Null here and below: as it was. */
  readonly rackId: string | null
  /** -1: as it was. */
  readonly rebalanceTimeoutMs: number
  /** Ascending, each once. */
  readonly subscribedTopics: readonly string[] | null
  /** Empty: none. */
  readonly topicRegex: string | null
  readonly serverAssignor: string | null
  /** What the member has; null: it does not say. */
  readonly owned: Assignment | null
  readonly clientId: string
  readonly clientHost: string
  /** Whether the client may know of a topic, which it has not named: regular expressions must not tell it of others. */
  readonly mayDescribe: (topic: string) => boolean
}
