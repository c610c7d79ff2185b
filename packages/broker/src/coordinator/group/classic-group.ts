import { assert, type TimestampMs } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import type { ReplyToken } from '../runtime/step.ts'
import { ClassicMember } from './classic-member.ts'
import { CONSUMER_PROTOCOL_TYPE, parseSubscribedTopics } from './consumer-protocol.ts'
import type { ClassicGroupState, JoinAnswerMember } from './group-protocol.ts'
import type { GroupMetadata } from './group-record.ts'
import type { GroupUsage } from './group-usage.ts'
import type { MemberProtocol } from './member-protocol.ts'

/** A group keeps its type when its members have gone, and nobody counts it. Those that clients use have some ten characters. */
const MAX_PROTOCOL_TYPE_LENGTH = 1_000

const LEGAL_PREDECESSORS: Record<ClassicGroupState, readonly ClassicGroupState[]> = {
  Empty: ['PreparingRebalance'],
  PreparingRebalance: ['Stable', 'CompletingRebalance', 'Empty'],
  CompletingRebalance: ['PreparingRebalance'],
  Stable: ['CompletingRebalance'],
  Dead: ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead'],
}

/**
 * State of one classic group (`coordinators.md`, section 2). It changes in memory and only its Stable and Empty generations are
 * written down, so it is not versioned: what an append failure must undo is undone by the step that follows it. Members keep
 * the order in which they joined.
 */
export class ClassicGroup {
  readonly type = 'classic'
  readonly groupId: string
  #state: ClassicGroupState
  /** What the state was before the last transition: a rebalance from Empty waits for more members. */
  #previousState: ClassicGroupState = 'Dead'
  #stateTimestampMs: TimestampMs
  generationId: number
  /** Null: no member ever joined. */
  protocolType: string | null
  protocolName: string | null
  leaderId: string | null
  readonly members = new Map<string, ClassicMember>()
  /** Whose share of the node's groups it takes; null: nobody's. */
  readonly owner: string | null
  /** Member ids given out with MEMBER_ID_REQUIRED that have not come back yet, with whose share of members each takes. */
  readonly #pendingJoins = new Map<string, string | null>()
  /** Assignments that are being written, with their sizes. */
  readonly #writtenAssignments = new Map<ReadonlyMap<string, Buffer>, number>()
  /** Where all this is counted; null while the group is not among those of its machine. */
  #usage: GroupUsage | null = null
  /** Members of this generation that have not sent SyncGroup yet. */
  readonly pendingSyncs = new Set<string>()
  /** It was a consumer group and was stored before it could rebalance: nobody leads it. */
  isToRebalance = false
  /** In a rebalance from Empty: a member joined since the delay last began. */
  hasNewMember = false
  readonly #memberIdsByInstance = new Map<string, string>()
  readonly #supportCounts = new Map<string, number>()
  #awaitingJoinCount = 0
  /** Null: unknown, which for a group of consumers means that any topic may be subscribed. */
  #subscribedTopics: ReadonlySet<string> | null = null

  constructor(groupId: string, nowMs: TimestampMs, owner: string | null = null) {
    this.groupId = groupId
    this.owner = owner
    this.#state = 'Empty'
    this.#stateTimestampMs = nowMs
    this.generationId = 0
    this.protocolType = null
    this.protocolName = null
    this.leaderId = null
  }

  /** The group that a stored record describes: Empty without members, else Stable. Of a member's protocols one is stored. */
  static load(groupId: string, stored: GroupMetadata): ClassicGroup {
    const group = new ClassicGroup(groupId, stored.stateTimestampMs)
    group.generationId = stored.generationId
    group.protocolType = stored.protocolType === '' ? null : stored.protocolType
    group.protocolName = stored.protocolName
    group.leaderId = stored.leaderId
    for (const member of stored.members) {
      group.add(
        new ClassicMember({
          ...member,
          protocolType: stored.protocolType,
          protocols: [{ name: stored.protocolName ?? '', metadata: member.subscription }],
          owner: null,
        }),
        null,
      )
    }
    if (group.members.size > 0) group.#state = 'Stable'
    group.isToRebalance = group.members.size > 0 && stored.leaderId === null
    group.#subscribedTopics = group.#computeSubscribedTopics()
    return group
  }

  /** Takes over members of a consumer group that has become a classic one, at once in Stable. Of a group that is new. */
  takeOver(generationId: number, members: readonly ClassicMember[]): void {
    for (const member of members) this.add(member, null)
    this.generationId = generationId
    this.protocolName = this.selectProtocol()
    this.#state = 'Stable'
    this.#subscribedTopics = this.#computeSubscribedTopics()
  }

  get state(): ClassicGroupState {
    return this.#state
  }

  get previousState(): ClassicGroupState {
    return this.#previousState
  }

  /** When the state was entered; -1: unknown. */
  get stateTimestampMs(): TimestampMs {
    return this.#stateTimestampMs
  }

  get isEmpty(): boolean {
    return this.#state === 'Empty'
  }

  get usesConsumerProtocol(): boolean {
    return this.protocolType === CONSUMER_PROTOCOL_TYPE
  }

  get canRebalance(): boolean {
    return LEGAL_PREDECESSORS.PreparingRebalance.includes(this.#state)
  }

  get awaitingJoinCount(): number {
    return this.#awaitingJoinCount
  }

  get hasAllMembersJoined(): boolean {
    return this.members.size === this.#awaitingJoinCount && this.#pendingJoins.size === 0
  }

  transitionTo(state: ClassicGroupState, nowMs: TimestampMs): void {
    assert(LEGAL_PREDECESSORS[state].includes(this.#state), 'illegal transition of a classic group')
    this.#usage?.moveGroup(this.#state, state)
    this.#previousState = this.#state
    this.#state = state
    this.#stateTimestampMs = nowMs
  }

  isLeader(memberId: string): boolean {
    return this.leaderId === memberId
  }

  staticMemberId(groupInstanceId: string): string | undefined {
    return this.#memberIdsByInstance.get(groupInstanceId)
  }

  /** The error of a request that names this member: 0, UNKNOWN_MEMBER_ID or, under an instance id of another, FENCED_INSTANCE_ID. */
  validateMember(memberId: string, groupInstanceId: string | null): number {
    if (groupInstanceId !== null) {
      const current = this.#memberIdsByInstance.get(groupInstanceId)
      if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      if (current !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return this.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID
  }

  /** Whether a member with these protocols can join: an empty group takes any, others need a protocol that all members list. */
  supportsProtocols(protocolType: string, protocols: readonly MemberProtocol[]): boolean {
    if (this.#state === 'Empty') {
      return protocolType !== '' && protocolType.length <= MAX_PROTOCOL_TYPE_LENGTH && protocols.length > 0
    }
    if (protocolType !== this.protocolType) return false
    // Without members any protocol is one that all list: they may leave while the group still gathers, or waits for ids given out.
    return protocols.some((protocol) => (this.#supportCounts.get(protocol.name) ?? 0) === this.members.size)
  }

  add(member: ClassicMember, joinToken: ReplyToken | null): void {
    if (this.members.size === 0) this.protocolType = member.protocolType
    assert(member.protocolType === this.protocolType, 'member has another protocol type than its group')
    assert(!this.members.has(member.memberId), 'member id is in the group already')
    if (member.groupInstanceId !== null) {
      assert(!this.#memberIdsByInstance.has(member.groupInstanceId), 'instance id is in the group already')
      this.#memberIdsByInstance.set(member.groupInstanceId, member.memberId)
    }
    this.leaderId ??= member.memberId
    this.members.set(member.memberId, member)
    this.#countMember(1, member)
    this.#countProtocols(member, 1)
    this.setJoinToken(member, joinToken)
    this.#removePendingJoin(member.memberId)
  }

  /** Gives out a member id that is to come back. */
  addPendingJoin(memberId: string, owner: string | null): void {
    this.#removePendingJoin(memberId)
    this.#pendingJoins.set(memberId, owner)
    this.#countPendingJoin(1, memberId, owner)
  }

  isPendingJoin(memberId: string): boolean {
    return this.#pendingJoins.has(memberId)
  }

  /** Whose share of members an id takes that was given out; null: nobody's. */
  pendingOwner(memberId: string): string | null {
    return this.#pendingJoins.get(memberId) ?? null
  }

  assign(member: ClassicMember, assignment: Buffer): void {
    this.#usage?.countBytes(assignment.length - member.assignment.length, member.owner)
    member.assignment = assignment
  }

  /** They count from now on, beside those that they will replace. */
  beginAssignment(assignments: ReadonlyMap<string, Buffer>): void {
    const sizeBytes = assignmentBytes(assignments)
    this.#writtenAssignments.set(assignments, sizeBytes)
    this.#usage?.countBytes(sizeBytes, this.owner)
  }

  /** Their write has succeeded or failed. No harm if the group they were for is another one. */
  endAssignment(assignments: ReadonlyMap<string, Buffer>): void {
    const sizeBytes = this.#writtenAssignments.get(assignments)
    if (sizeBytes === undefined) return
    this.#writtenAssignments.delete(assignments)
    this.#usage?.countBytes(-sizeBytes, this.owner)
  }

  /** The group is among those of a machine from now on, or with null no longer. */
  countIn(usage: GroupUsage | null): void {
    if (this.#usage !== null) this.#countAll(-1)
    this.#usage = usage
    if (usage !== null) this.#countAll(1)
  }

  /** Forgets a member or a pending id. The caller has answered its parked requests. Unknown ids are no error. */
  remove(memberId: string): void {
    const member = this.members.get(memberId)
    if (member !== undefined) {
      this.members.delete(memberId)
      this.#countMember(-1, member)
      this.#countProtocols(member, -1)
      this.setJoinToken(member, null)
      if (member.groupInstanceId !== null) this.#memberIdsByInstance.delete(member.groupInstanceId)
    }
    if (this.leaderId === memberId) this.leaderId = this.members.keys().next().value ?? null
    this.#removePendingJoin(memberId)
    this.pendingSyncs.delete(memberId)
  }

  /** Gives a static member another id. It keeps its assignment, its leadership and whether it still owes a SyncGroup. */
  replaceStaticMember(groupInstanceId: string, newMemberId: string): ClassicMember {
    const oldMemberId = this.#memberIdsByInstance.get(groupInstanceId)
    assert(oldMemberId !== undefined, 'replaced static member is not in the group')
    const old = this.members.get(oldMemberId)!
    assert(old.joinToken === null && old.syncToken === null, 'replaced static member has a parked request')
    const replacement = new ClassicMember({ ...memberInit(old), memberId: newMemberId })
    this.members.delete(oldMemberId)
    this.#countMember(-1, old)
    this.members.set(newMemberId, replacement)
    this.#countMember(1, replacement)
    this.#memberIdsByInstance.set(groupInstanceId, newMemberId)
    if (this.leaderId === oldMemberId) this.leaderId = newMemberId
    if (this.pendingSyncs.delete(oldMemberId)) this.pendingSyncs.add(newMemberId)
    return replacement
  }

  updateMember(
    member: ClassicMember,
    protocols: readonly MemberProtocol[],
    rebalanceTimeoutMs: number,
    sessionTimeoutMs: number,
    joinToken: ReplyToken | null,
  ): void {
    this.#countProtocols(member, -1)
    this.#countMember(-1, member)
    member.protocols = protocols
    this.#countMember(1, member)
    this.#countProtocols(member, 1)
    member.rebalanceTimeoutMs = rebalanceTimeoutMs
    member.sessionTimeoutMs = sessionTimeoutMs
    this.setJoinToken(member, joinToken)
  }

  /** Parks the member's JoinGroup request, or with null notes that it was answered. */
  setJoinToken(member: ClassicMember, joinToken: ReplyToken | null): void {
    this.#awaitingJoinCount += Number(joinToken !== null) - Number(member.joinToken !== null)
    member.joinToken = joinToken
  }

  /** Members whose JoinGroup has not come in this rebalance. */
  notYetRejoined(): ClassicMember[] {
    return [...this.members.values()].filter((member) => !member.isAwaitingJoin)
  }

  /** Makes the first waiting member the leader if the leader did not rejoin. False: nobody waits. */
  maybeElectJoinedLeader(): boolean {
    const leader = this.leaderId === null ? undefined : this.members.get(this.leaderId)
    if (leader?.isAwaitingJoin === true) return true
    for (const member of this.members.values()) {
      if (!member.isAwaitingJoin) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  /** The largest rebalance timeout of the members, 0 without any. */
  rebalanceTimeoutMs(): number {
    let timeoutMs = 0
    for (const member of this.members.values()) timeoutMs = Math.max(timeoutMs, member.rebalanceTimeoutMs)
    return timeoutMs
  }

  /** The protocol that the next generation would use: among those of all members, the one with most first choices. */
  selectProtocol(): string {
    assert(this.members.size > 0, 'an empty group has no protocol to select')
    const candidates = new Set<string>()
    for (const [name, count] of this.#supportCounts) if (count === this.members.size) candidates.add(name)
    const votes = new Map<string, number>()
    let selected = ''
    let mostVotes = 0
    for (const member of this.members.values()) {
      const name = member.vote(candidates)
      const count = (votes.get(name) ?? 0) + 1
      votes.set(name, count)
      if (count > mostVotes) {
        mostVotes = count
        selected = name
      }
    }
    return selected
  }

  /** Begins the next generation with the members there are. */
  beginGeneration(nowMs: TimestampMs): void {
    this.generationId++
    this.protocolName = this.members.size > 0 ? this.selectProtocol() : null
    this.#subscribedTopics = this.#computeSubscribedTopics()
    this.transitionTo(this.members.size > 0 ? 'CompletingRebalance' : 'Empty', nowMs)
    this.pendingSyncs.clear()
  }

  /** What the leader is told of each member. */
  memberList(): JoinAnswerMember[] {
    return [...this.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      metadata: member.metadataFor(this.protocolName),
    }))
  }

  /** Whether committed offsets of the topic are in use. */
  isSubscribedTo(topic: string): boolean {
    return this.#subscribedTopics === null ? this.usesConsumerProtocol : this.#subscribedTopics.has(topic)
  }

  get knowsSubscribedTopics(): boolean {
    return this.#subscribedTopics !== null
  }

  /** The group as it is stored, with these assignments, or the members' current ones. */
  toMetadata(assignments: ReadonlyMap<string, Buffer> | null): GroupMetadata {
    return {
      protocolType: this.protocolType ?? '',
      generationId: this.generationId,
      protocolName: this.protocolName,
      leaderId: this.leaderId,
      stateTimestampMs: this.#stateTimestampMs,
      members: [...this.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        sessionTimeoutMs: member.sessionTimeoutMs,
        subscription: member.metadataFor(this.protocolName),
        assignment: assignments?.get(member.memberId) ?? member.assignment,
      })),
    }
  }

  #removePendingJoin(memberId: string): void {
    const owner = this.#pendingJoins.get(memberId)
    if (owner === undefined) return
    this.#pendingJoins.delete(memberId)
    this.#countPendingJoin(-1, memberId, owner)
  }

  #countAll(sign: number): void {
    const usage = this.#usage!
    usage.countGroup(sign, this.#state, this.owner)
    usage.countBytes(sign * this.groupId.length, this.owner)
    for (const member of this.members.values()) this.#countMember(sign, member)
    for (const [memberId, owner] of this.#pendingJoins) this.#countPendingJoin(sign, memberId, owner)
    for (const sizeBytes of this.#writtenAssignments.values()) usage.countBytes(sign * sizeBytes, this.owner)
  }

  #countMember(sign: number, member: ClassicMember): void {
    this.#usage?.countMember(sign, member.owner)
    this.#usage?.countBytes(sign * member.keptBytes, member.owner)
  }

  #countPendingJoin(sign: number, memberId: string, owner: string | null): void {
    this.#usage?.countMember(sign, owner)
    this.#usage?.countBytes(sign * memberId.length, owner)
  }

  #computeSubscribedTopics(): ReadonlySet<string> | null {
    if (!this.usesConsumerProtocol) return null
    if (this.members.size === 0) return new Set()
    if (this.protocolName === null) return null
    const topics = new Set<string>()
    for (const member of this.members.values()) {
      const subscribed = parseSubscribedTopics(member.metadataFor(this.protocolName))
      if (subscribed === null) return null
      for (const topic of subscribed) topics.add(topic)
    }
    return topics
  }

  #countProtocols(member: ClassicMember, change: number): void {
    for (const name of new Set(member.protocols.map((protocol) => protocol.name))) {
      const count = (this.#supportCounts.get(name) ?? 0) + change
      if (count === 0) this.#supportCounts.delete(name)
      else this.#supportCounts.set(name, count)
    }
  }
}

function assignmentBytes(assignments: ReadonlyMap<string, Buffer>): number {
  let sizeBytes = 0
  for (const { length } of assignments.values()) sizeBytes += length
  return sizeBytes
}

function memberInit(member: ClassicMember): ConstructorParameters<typeof ClassicMember>[0] {
  const { memberId, groupInstanceId, clientId, clientHost, protocolType } = member
  const { rebalanceTimeoutMs, sessionTimeoutMs, protocols, assignment, owner } = member
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    protocolType,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    protocols,
    assignment,
    owner,
  }
}
