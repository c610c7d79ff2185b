import {
  createHeartbeatRequest,
  createJoinGroupRequest,
  createJoinGroupRequestProtocol,
  createLeaveGroupRequest,
  createMemberIdentity,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  createSyncGroupRequest,
  createSyncGroupRequestAssignment,
  ErrorCode,
  type JoinGroupResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../group/group-coordinator.ts'
import { contextOf } from './coordinator-fixture.ts'
import { FORBIDDEN_OFFSET, type GroupChecker } from './group-checker.ts'
import { subscription } from './group-driver.ts'

export const SIMULATED_GROUP = 'simulated'
export const SIMULATED_PARTITIONS = 8
export const SESSION_TIMEOUT_MS = 10_000
export const REBALANCE_TIMEOUT_MS = 20_000

/** After these a consumer forgets who it was. */
const LOST: readonly number[] = [
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.GROUP_MAX_SIZE_REACHED,
]

/** A consumer gives up after these. All members here list one protocol and ask for what is allowed, so none may ever hear them. */
const FINAL: readonly number[] = [
  ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
  ErrorCode.INVALID_GROUP_ID,
  ErrorCode.INVALID_SESSION_TIMEOUT,
  ErrorCode.INVALID_REQUEST,
]

/** What the members of a simulation share. */
export interface SimulatedWorld {
  readonly checker: GroupChecker
  readonly groups: GroupCoordinator
  /** What went wrong, to be thrown by whoever drives the world. */
  readonly faults: unknown[]
  /** The next offset to commit, above all before. */
  nextOffset(): number
}

/** A consumer as clients implement it: joins, syncs, heartbeats, commits, and has one request under way at a time. */
export class SimulatedMember {
  readonly name: string
  readonly groupInstanceId: string | null
  memberId = ''
  generationId = -1
  /** Null: no member of a generation. */
  assignment: readonly number[] | null = null
  /** What it has to do next. */
  phase: 'join' | 'sync' | 'member' = 'join'
  isBusy = false
  readonly #world: SimulatedWorld
  #join: JoinGroupResponse | null = null
  /** Counts connections: answers of an earlier one never arrive. */
  #connection = 0

  constructor(name: string, groupInstanceId: string | null, world: SimulatedWorld) {
    this.name = name
    this.groupInstanceId = groupInstanceId
    this.#world = world
  }

  /** The connection broke: what was under way is not answered any more. */
  disconnect(): void {
    this.#connection++
    this.isBusy = false
  }

  /** Does what comes next, unless a request is under way. */
  act(): void {
    if (this.isBusy) return
    if (this.phase === 'join') this.#sendJoin()
    else if (this.phase === 'sync') this.#sendSync()
    else this.#sendHeartbeat()
  }

  leave(): void {
    if (this.isBusy || this.memberId === '') return
    const members = [createMemberIdentity({ memberId: this.memberId, groupInstanceId: this.groupInstanceId })]
    const request = createLeaveGroupRequest({ groupId: SIMULATED_GROUP, members })
    this.#await(this.#world.groups.members.leave(request, contextOf(13, 5)), () => this.#forget())
  }

  /** Commits offsets of what it owns, as the member it takes itself for. */
  commit(): void {
    if (this.isBusy || this.assignment === null || this.assignment.length === 0) return
    const { assignment } = this
    const offset = this.#world.nextOffset()
    this.#await(this.#sendCommit(this.generationId, assignment, offset), (errors) => {
      for (const [slot, errorCode] of errors.entries()) {
        if (errorCode === ErrorCode.NONE) this.#world.checker.onCommitted(assignment[slot]!, offset)
      }
      this.#react(errors[0]!)
    })
  }

  /** Tries to commit as a member of a generation that is over for good: a later one was assigned. */
  commitStale(): void {
    const generationId = this.#world.checker.highestGeneration - 1
    if (this.isBusy || this.memberId === '' || generationId < 0) return
    this.#await(this.#sendCommit(generationId, [0], FORBIDDEN_OFFSET), (errors) => {
      if (errors[0] === ErrorCode.NONE) throw new Error('a commit of an old generation was taken')
    })
  }

  #sendJoin(): void {
    const request = createJoinGroupRequest({
      groupId: SIMULATED_GROUP,
      memberId: this.memberId,
      groupInstanceId: this.groupInstanceId,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      rebalanceTimeoutMs: REBALANCE_TIMEOUT_MS,
      protocolType: 'consumer',
      protocols: [createJoinGroupRequestProtocol({ name: 'range', metadata: subscription('topic') })],
    })
    this.assignment = null
    this.#await(this.#world.groups.members.join(request, contextOf(11, 9, this.name)), (answer) => {
      if (answer.errorCode === ErrorCode.MEMBER_ID_REQUIRED) this.memberId = answer.memberId
      else if (answer.errorCode === ErrorCode.NONE) {
        this.#world.checker.onJoined(answer.generationId)
        this.memberId = answer.memberId
        this.generationId = answer.generationId
        this.#join = answer
        this.phase = 'sync'
      } else this.#react(answer.errorCode)
    })
  }

  #sendSync(): void {
    const join = this.#join!
    const isLeader = join.leader === this.memberId && !join.skipAssignment
    const request = createSyncGroupRequest({
      groupId: SIMULATED_GROUP,
      memberId: this.memberId,
      groupInstanceId: this.groupInstanceId,
      generationId: this.generationId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: isLeader ? assign(join.members.map((member) => member.memberId)) : [],
    })
    this.#await(this.#world.groups.members.sync(request, contextOf(14, 5)), (answer) => {
      if (answer.errorCode !== ErrorCode.NONE) {
        this.#react(answer.errorCode)
        return
      }
      this.assignment = [...answer.assignment]
      this.#world.checker.onAssigned(this.generationId, this.groupInstanceId ?? this.memberId, this.assignment)
      this.phase = 'member'
    })
  }

  #sendHeartbeat(): void {
    const { memberId, groupInstanceId, generationId } = this
    const request = createHeartbeatRequest({ groupId: SIMULATED_GROUP, memberId, groupInstanceId, generationId })
    this.#await(this.#world.groups.members.heartbeat(request), (answer) => this.#react(answer.errorCode))
  }

  async #sendCommit(generationId: number, partitions: readonly number[], offset: number): Promise<number[]> {
    const request = createOffsetCommitRequest({
      groupId: SIMULATED_GROUP,
      memberId: this.memberId,
      groupInstanceId: this.groupInstanceId,
      generationIdOrMemberEpoch: generationId,
      topics: [
        createOffsetCommitRequestTopic({
          name: 'topic',
          partitions: partitions.map((partitionIndex) =>
            createOffsetCommitRequestPartition({ partitionIndex, committedOffset: offset }),
          ),
        }),
      ],
    })
    const answer = await this.#world.groups.offsets.commit(request, contextOf(8, 9))
    return answer.topics[0]!.partitions.map((partition) => partition.errorCode)
  }

  #react(errorCode: number): void {
    if (FINAL.includes(errorCode)) throw new Error(`${this.name} was told error ${errorCode}, after which it gives up`)
    if (LOST.includes(errorCode)) this.#forget()
    else if (errorCode === ErrorCode.REBALANCE_IN_PROGRESS) this.phase = 'join'
    // A member whose generation could not be written joins again; other errors are of the coordinator, and it tries again.
    else if (errorCode === ErrorCode.UNKNOWN_SERVER_ERROR) this.phase = 'join'
  }

  #forget(): void {
    this.memberId = ''
    this.generationId = -1
    this.assignment = null
    this.phase = 'join'
  }

  #await<Answer>(answer: Promise<Answer>, onAnswer: (answer: Answer) => void): void {
    const connection = this.#connection
    this.isBusy = true
    answer
      .then((value) => {
        if (this.#connection !== connection) return
        this.isBusy = false
        onAnswer(value)
      })
      .catch((error: unknown) => this.#world.faults.push(error))
  }
}

/** Gives each member its share of the partitions, one byte each. */
function assign(memberIds: readonly string[]): ReturnType<typeof createSyncGroupRequestAssignment>[] {
  return memberIds.map((memberId, slot) => {
    const partitions: number[] = []
    for (let partition = slot; partition < SIMULATED_PARTITIONS; partition += memberIds.length)
      partitions.push(partition)
    return createSyncGroupRequestAssignment({ memberId, assignment: Buffer.from(partitions) })
  })
}
