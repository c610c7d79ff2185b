import type { Offset, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { ShareKey, ShareStateStore } from '../../coordinator/share/share-state.ts'
import type { Logger } from '../../logger.ts'
import { UNLIMITED_FETCHES } from '../../partition/fetch-limits.ts'
import type { FetchWaiter, Partition } from '../../partition/partition.ts'
import type { PartitionManager } from '../../partition/partition-manager.ts'
import { type FetchedShare, ShareFetchOperation, type ShareFetchParameters } from '../fetch/share-fetch-operation.ts'
import type { ShareSession } from '../fetch/share-session.ts'
import { ShareMemberSessions } from '../share-member-sessions.ts'
import type { SharePartition } from '../share-partition.ts'
import { SharePartitions } from '../share-partitions.ts'
import type { ShareGroupSettings } from '../share-settings.ts'
import { ShareTotals } from '../share-totals.ts'
import type { WorldLog } from './world-log.ts'

export interface WorldBrokerDeps {
  readonly key: ShareKey
  readonly topic: string
  readonly leaderEpoch: number
  readonly log: WorldLog
  readonly clock: SimulatedClock
  readonly timers: SimulatedTimers
  readonly logger: Logger
  readonly store: ShareStateStore
  readonly settings: ShareGroupSettings
  onFault(error: unknown): void
}

/** A partition as its leader of one epoch has it. */
export class WorldPartition {
  readonly partition: number
  readonly topic: string
  readonly topicId: string
  readonly leaderEpoch: number
  readonly log: WorldLog
  readonly #waiters = new Set<FetchWaiter>()

  constructor({ key, topic, leaderEpoch, log }: Pick<WorldBrokerDeps, 'key' | 'topic' | 'leaderEpoch' | 'log'>) {
    this.partition = key.partition
    this.topic = topic
    this.topicId = key.topicId
    this.leaderEpoch = leaderEpoch
    this.log = log
  }

  checkLeader(): number {
    return ErrorCode.NONE
  }

  addFetchWaiter(waiter: FetchWaiter): void {
    this.#waiters.add(waiter)
  }

  removeFetchWaiter(waiter: FetchWaiter): void {
    this.#waiters.delete(waiter)
  }

  tell(): void {
    for (const waiter of [...this.#waiters]) waiter.onPartitionChanged(this as unknown as Partition)
  }
}

/** What a member is given; whether it still has its session then. */
type OnGiven = (answer: FetchedShare, share: SharePartition, isMember: boolean) => void

/** The leader of one partition for one epoch: its share partitions, the sessions of members with it, and their fetches. */
export class WorldBroker {
  readonly partition: WorldPartition
  readonly #deps: WorldBrokerDeps
  readonly #shares: SharePartitions
  readonly #sessions: ShareMemberSessions
  /** By member: the fetch that has no answer yet. */
  readonly #waiting = new Map<string, ShareFetchOperation>()
  #connectionId = 0

  constructor(deps: WorldBrokerDeps) {
    this.#deps = deps
    this.partition = new WorldPartition(deps)
    const hosted = { name: deps.topic, partitions: [this.partition] }
    this.#shares = new SharePartitions({
      ...deps,
      partitions: { topicById: () => hosted } as unknown as PartitionManager,
      totals: new ShareTotals(),
      limits: { maxPartitions: 10, maxInFlightRecords: 1000 },
      settings: () => deps.settings,
      initialOffset: (): Promise<Offset> => Promise.resolve(deps.log.logStartOffset),
      onDeadLetters: () => undefined,
    })
    this.#sessions = new ShareMemberSessions({ maxSessions: 10, maxPartitions: 10 }, this.#shares)
  }

  get share(): SharePartition | undefined {
    const { groupId, topicId, partition } = this.#deps.key
    return this.#shares.known(groupId, topicId, partition)
  }

  /** The member has no answer to its fetch yet. */
  isWaiting(memberId: string): boolean {
    return this.#waiting.has(memberId)
  }

  /** One fetch of a member at a time, in a session of its own connection. */
  fetch(parameters: ShareFetchParameters, onGiven: OnGiven): void {
    const { memberId } = parameters
    if (this.#waiting.has(memberId)) return
    const session = this.#sessionOf(memberId)
    const { clock, timers, key } = this.#deps
    const targets = session.rotated().map((wanted) => {
      return { wanted, share: this.#shares.open(key.groupId, wanted.topicId, wanted.partition) }
    })
    const operation: ShareFetchOperation = new ShareFetchOperation(
      {
        timers,
        limits: UNLIMITED_FETCHES,
        monotonicMs: () => clock.monotonicMs(),
        hasRoom: () => this.#shares.hasRoom,
      },
      parameters,
      targets,
      ([answer]) => {
        session.waiting = null
        this.#waiting.delete(memberId)
        const isMember = this.#sessions.sessions.get(key.groupId, memberId) === session
        onGiven(answer!, targets[0]!.share as SharePartition, isMember)
      },
      (error) => this.#deps.onFault(error),
    )
    this.#waiting.set(memberId, operation)
    session.waiting = operation
    operation.start()
  }

  /** The member says that it goes, over whatever connection, or its connection breaks. */
  leave(memberId: string, isPolite: boolean): void {
    const session = this.#sessions.sessions.get(this.#deps.key.groupId, memberId)
    if (session === undefined) return
    if (isPolite) {
      this.#sessions.end(session)
      return
    }
    this.#waiting.get(memberId)?.abandon()
    this.#waiting.delete(memberId)
    this.#sessions.onConnectionClosed(session.connectionId)
  }

  /** It does not lead any more, and knows. */
  stop(): void {
    this.#shares.close()
  }

  #sessionOf(memberId: string): ShareSession {
    const { groupId, topicId, partition } = this.#deps.key
    const known = this.#sessions.sessions.get(groupId, memberId)
    const found = this.#sessions.find(groupId, memberId, known?.nextEpoch ?? 0, this.#connectionId++, true)
    if ('errorCode' in found) throw new Error(`a session is refused: ${found.errorCode}`)
    this.#sessions.change(found.session, [{ topicId, partition }], [])
    return found.session
  }
}
