import type { TimestampMs, Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { type Timeline, TimelineMap, type ValueTally } from '../../runtime/timeline.ts'
import { TimelineValue } from '../../runtime/timeline-value.ts'
import type { ModernGroupState } from '../group-protocol.ts'
import type { GroupUsage } from '../group-usage.ts'
import { type Assignment, EMPTY_ASSIGNMENT } from './assignment.ts'
import { MemberIndex } from './member-index.ts'
import { assignmentBytes, type ModernMember } from './modern-member.ts'

/** What a group's own record says of it. */
export interface GroupEpoch {
  /** Grows whenever members come, go or change what they subscribe to, and when a topic of theirs changes. */
  readonly epoch: number
  /** Of the topics that the group depends on (`topic-directory.ts`), as of this epoch. */
  readonly metadataHash: bigint
}

/** For which epoch of the group, and when, the targets were computed. */
export interface TargetEpoch {
  readonly epoch: number
  /** 0: never, or before the broker wrote it down. */
  readonly timestampMs: TimestampMs
}

const NO_EPOCH: GroupEpoch = { epoch: 0, metadataHash: 0n }
const NO_TARGET: TargetEpoch = { epoch: 0, timestampMs: 0 }

/**
 * A group whose partitions the coordinator assigns: what consumer groups (KIP-848) and share groups (KIP-932) have in common. Members
 * bring subscriptions, which make the epoch of the group grow; an assignor makes targets for that epoch; members come to their targets
 * each at its own pace. All of it is versioned, or follows from what is, so a step that fails leaves nothing behind.
 */
export abstract class ModernGroup<Member extends ModernMember> {
  readonly groupId: string
  /** Whose share of the node's groups it takes; null: nobody's. */
  readonly owner: string | null
  readonly members: TimelineMap<string, Member>
  /** By member; absent: none. */
  readonly targets: TimelineMap<string, Assignment>
  readonly #epoch: TimelineValue<GroupEpoch>
  readonly #target: TimelineValue<TargetEpoch>
  readonly #index: MemberIndex<Member>
  /** Where all this is counted; null while the group is not among those of its machine. */
  #usage: GroupUsage | null = null
  #countedState: ModernGroupState = 'Empty'
  #extraBytes = 0

  /** `alsoTold` hears of members that come and go, those whose coming or going is taken back too. */
  constructor(
    groupId: string,
    timeline: Timeline,
    owner: string | null,
    hasOwners: boolean,
    alsoTold: ValueTally<Member> | null = null,
  ) {
    this.groupId = groupId
    this.owner = owner
    const index = new MemberIndex<Member>(hasOwners)
    this.#index = index
    const onChange = (): void => this.#countState()
    this.#epoch = new TimelineValue<GroupEpoch>(timeline, NO_EPOCH, onChange)
    this.#target = new TimelineValue<TargetEpoch>(timeline, NO_TARGET, onChange)
    this.members = new TimelineMap(timeline, {
      onAdded: (member) => {
        const namesBytes = index.namesBytes
        index.onAdded(member)
        this.#countMember(1, member)
        this.countBytes(index.namesBytes - namesBytes)
        alsoTold?.onAdded(member)
      },
      onRemoved: (member) => {
        const namesBytes = index.namesBytes
        index.onRemoved(member)
        this.#countMember(-1, member)
        this.countBytes(index.namesBytes - namesBytes)
        alsoTold?.onRemoved(member)
      },
    })
    this.targets = new TimelineMap(timeline, {
      onAdded: (target) => this.#usage?.countBytes(assignmentBytes(target), this.owner),
      onRemoved: (target) => this.#usage?.countBytes(-assignmentBytes(target), this.owner),
    })
  }

  /** Bytes more, or less, that clients have the group keep besides what groups of all kinds do. */
  protected countBytes(change: number): void {
    this.#extraBytes += change
    this.#usage?.countBytes(change, this.owner)
  }

  /** Under which name the group is counted. */
  protected get kind(): string {
    return 'consumer'
  }

  protected get index(): MemberIndex<Member> {
    return this.#index
  }

  get epoch(): GroupEpoch {
    return this.#epoch.current
  }

  set epoch(epoch: GroupEpoch) {
    this.#epoch.current = epoch
  }

  get target(): TargetEpoch {
    return this.#target.current
  }

  set target(target: TargetEpoch) {
    this.#target.current = target
  }

  get committedEpoch(): GroupEpoch {
    return this.#epoch.committed
  }

  get committedTarget(): TargetEpoch {
    return this.#target.committed
  }

  get isEmpty(): boolean {
    return this.members.size === 0
  }

  get state(): ModernGroupState {
    const { memberCount } = this.#index
    const targetEpoch = this.#target.current.epoch
    return this.stateOf(memberCount, this.#epoch.current.epoch, targetEpoch, this.#index.stableCountAt(targetEpoch))
  }

  /** As of the last committed version. Looks at all members while a change of the group is not committed. */
  get committedState(): ModernGroupState {
    if (this.members.isCommitted && this.#epoch.isCommitted && this.#target.isCommitted) return this.state
    const targetEpoch = this.#target.committed.epoch
    let memberCount = 0
    let stableCount = 0
    for (const [, member] of this.members.committedEntries()) {
      memberCount++
      if (member.isStable && member.memberEpoch === targetEpoch) stableCount++
    }
    return this.stateOf(memberCount, this.#epoch.committed.epoch, targetEpoch, stableCount)
  }

  /** Takes no more than what it is given, so that it can be asked of any version. */
  protected stateOf(memberCount: number, epoch: number, targetEpoch: number, stableCount: number): ModernGroupState {
    if (memberCount === 0) return 'Empty'
    if (epoch > targetEpoch) return 'Assigning'
    return stableCount === memberCount ? 'Stable' : 'Reconciling'
  }

  targetOf(memberId: string): Assignment {
    return this.targets.get(memberId) ?? EMPTY_ASSIGNMENT
  }

  /** The id of the member that has this instance id. */
  staticMemberId(instanceId: string): string | undefined {
    return this.#index.staticMemberId(instanceId)
  }

  /** Who has a partition, or was told to give it up and has not yet. Undefined: it is free. */
  ownerOf(topicId: Uuid, partition: number): string | undefined {
    return this.#index.ownerOf(topicId, partition)
  }

  /** Whether any member subscribes to the topic by its name. */
  isSubscribedTo(topic: string): boolean {
    return this.#index.hasName(topic)
  }

  /** The names that members subscribe to, each once. */
  subscribedTopics(): Iterable<string> {
    return this.#index.names()
  }

  /** Lists of names that others have already: one that is the same should be the same object. */
  get knownSubscription(): readonly string[] | undefined {
    return this.#index.anyList()
  }

  /**
   * Whether a heartbeat may come with this epoch, or which error it gets. Below the member's epoch it may only if the answer of the step
   * before was lost: from the epoch before, by a member that `ownsNoMore` than it has.
   */
  checkEpoch(member: Member, epoch: number, ownsNoMore: () => boolean): number {
    if (epoch > member.memberEpoch) return ErrorCode.FENCED_MEMBER_EPOCH
    if (epoch === member.memberEpoch) return ErrorCode.NONE
    return epoch === member.previousMemberEpoch && ownsNoMore() ? ErrorCode.NONE : ErrorCode.FENCED_MEMBER_EPOCH
  }

  /** The group is among those of a machine from now on, or with null no longer. */
  countIn(usage: GroupUsage | null): void {
    if (this.#usage !== null) this.#countAll(-1)
    this.#usage = usage
    this.#countedState = this.state
    if (usage !== null) this.#countAll(1)
  }

  #countAll(sign: number): void {
    const usage = this.#usage!
    usage.countGroup(sign, `${this.kind} ${this.#countedState}`, this.owner)
    usage.countBytes(sign * (this.groupId.length + this.#extraBytes), this.owner)
    for (const { owner, keptBytes } of this.members.values()) {
      usage.countMember(sign, owner)
      usage.countBytes(sign * keptBytes, owner)
    }
    for (const target of this.targets.values()) usage.countBytes(sign * assignmentBytes(target), this.owner)
  }

  #countMember(sign: number, member: Member): void {
    if (this.#usage === null) return
    this.#usage.countMember(sign, member.owner)
    this.#usage.countBytes(sign * member.keptBytes, member.owner)
    this.#countState()
  }

  #countState(): void {
    if (this.#usage === null) return
    const { state } = this
    if (state === this.#countedState) return
    this.#usage.moveGroup(`${this.kind} ${this.#countedState}`, `${this.kind} ${state}`)
    this.#countedState = state
  }
}
