import type { TimestampMs, Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import type { Timeline } from '../../runtime/timeline.ts'
import { TimelineValue } from '../../runtime/timeline-value.ts'
import type { ModernGroupState } from '../group-protocol.ts'
import { ModernGroup } from '../modern/modern-group.ts'
import { isSameNames } from '../modern/modern-member.ts'
import { NO_STATE_PARTITIONS, type StatePartitions } from './share-group-record.ts'
import type { ShareMember } from './share-member.ts'

/** What a look at all partitions of a group depends on. */
export interface Settled {
  readonly partitions: StatePartitions
  readonly topics: MetadataImage['topics']
  readonly epoch: number
  readonly targetEpoch: number
}

/** A partition in the lists of states: a number, and its part of the text of a record. */
const STATE_PARTITION_BYTES = 16
const STATE_TOPIC_BYTES = 256

/**
 * A share group (KIP-932): its members, and for which partitions the share coordinator has state. What members hold of records is not
 * its business. A function of its records, but for what is said to live in memory only.
 */
export class ShareGroup extends ModernGroup<ShareMember> {
  readonly type = 'share'
  readonly protocolType = 'share'
  readonly #partitions: TimelineValue<StatePartitions>
  #partitionBytes = 0
  /** In memory only: the metadata that was last looked at for changes of the group's topics; null: look again. */
  seenMetadata: MetadataImage | null = null
  /** In memory only: as of which state and metadata all that is subscribed to has a state and a member. */
  settled: Settled | null = null
  /** In memory only: when the share coordinator was last asked to begin with partitions of a topic, on the wall clock. */
  readonly askedMs = new Map<Uuid, number>()
  /** In memory only: subscribed topics of which some partition has no state yet, and since when, on the wall clock. */
  beginningSinceMs: ReadonlyMap<Uuid, TimestampMs> = new Map()
  /** In memory only: topics whose state is being deleted just now. */
  readonly deletingNow = new Set<Uuid>()

  constructor(groupId: string, timeline: Timeline, owner: string | null) {
    super(groupId, timeline, owner, false)
    this.#partitions = new TimelineValue<StatePartitions>(timeline, NO_STATE_PARTITIONS, () => this.#countPartitions())
  }

  get partitions(): StatePartitions {
    return this.#partitions.current
  }

  set partitions(partitions: StatePartitions) {
    this.#partitions.current = partitions
  }

  get committedPartitions(): StatePartitions {
    return this.#partitions.committed
  }

  get usesConsumerProtocol(): boolean {
    return false
  }

  /** The list that another member has already, if it is the same. */
  shareNames(names: readonly string[]): readonly string[] {
    const known = this.knownSubscription
    return known !== undefined && isSameNames(known, names) ? known : names
  }

  /** Members go to their targets in one step: there is nothing in between. */
  protected override stateOf(memberCount: number): ModernGroupState {
    return memberCount === 0 ? 'Empty' : 'Stable'
  }

  #countPartitions(): void {
    const { initializing, initialized, deleting } = this.#partitions.current
    let bytes = deleting.size * STATE_TOPIC_BYTES
    for (const { partitions } of [...initializing.values(), ...initialized.values()]) {
      bytes += STATE_TOPIC_BYTES + partitions.length * STATE_PARTITION_BYTES
    }
    this.countBytes(bytes - this.#partitionBytes)
    this.#partitionBytes = bytes
  }
}
