import type { Uuid } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import { type Timeline, TimelineMap } from '../../runtime/timeline.ts'
import { TimelineValue } from '../../runtime/timeline-value.ts'
import { CONSUMER_PROTOCOL_TYPE } from '../consumer-protocol.ts'
import { ModernGroup } from '../modern/modern-group.ts'
import { isSameNames } from '../modern/modern-member.ts'
import type { TopicDirectory } from '../modern/topic-directory.ts'
import type { ConsumerMember } from './consumer-member.ts'
import type { ResolvedRegex } from './consumer-record.ts'
import { MemberCounts } from './member-counts.ts'
import type { RegexSearch } from './regex-search.ts'

/** A name that a regular expression resolved to: a pointer, the text is the metadata's. */
const RESOLVED_TOPIC_BYTES = 16
const REGEX_BYTES = 256

/**
 * A consumer group (KIP-848). Some of its members, or all, may speak the classic protocol while a group moves from the one protocol to
 * the other. A function of its records, but for what is said to live in memory only.
 */
export class ConsumerGroup extends ModernGroup<ConsumerMember> {
  readonly type = 'consumer'
  readonly protocolType = CONSUMER_PROTOCOL_TYPE
  /** By text: what the regular expressions of members match. Those that nobody uses any more are not among them. */
  readonly regexes: TimelineMap<string, ResolvedRegex>
  readonly #counts: MemberCounts
  readonly #hasPartitionsRecord: TimelineValue<boolean>
  /** In memory only: the metadata that was last looked at for changes of the group's topics; null: look again. */
  seenMetadata: MetadataImage | null = null
  /** In memory only: what is being found out about the group's regular expressions, if anything is. */
  regexSearch: RegexSearch | null = null
  /**
   * In memory only: when such a task last began, on the wall clock, and how many topics had been created by then; -1: what it found was not
   * kept, so it has to be found again.
   */
  regexesAskedMs = Number.NEGATIVE_INFINITY
  regexesAskedAt = -1

  constructor(groupId: string, timeline: Timeline, owner: string | null) {
    const counts = new MemberCounts()
    super(groupId, timeline, owner, true, counts)
    this.#counts = counts
    this.regexes = new TimelineMap(timeline, {
      onAdded: ({ topics }) => this.countBytes(REGEX_BYTES + topics.length * RESOLVED_TOPIC_BYTES),
      onRemoved: ({ topics }) => this.countBytes(-REGEX_BYTES - topics.length * RESOLVED_TOPIC_BYTES),
    })
    this.#hasPartitionsRecord = new TimelineValue(timeline, false)
  }

  /** Kafka before 4.1 wrote a record that nobody reads any more. */
  get hasPartitionsRecord(): boolean {
    return this.#hasPartitionsRecord.current
  }

  set hasPartitionsRecord(has: boolean) {
    this.#hasPartitionsRecord.current = has
  }

  get usesConsumerProtocol(): boolean {
    return true
  }

  /** The list that another member has already, if it is the same. */
  shareNames(names: readonly string[]): readonly string[] {
    const known = this.knownSubscription
    return known !== undefined && isSameNames(known, names) ? known : names
  }

  /** How many members speak the classic protocol. */
  get classicMemberCount(): number {
    return this.#counts.classicMembers
  }

  /** Whether some protocol is among those of all members that speak the classic protocol. */
  supportsProtocols(names: readonly string[]): boolean {
    if (this.isEmpty) return names.length > 0
    return names.some((name) => this.#counts.protocolCount(name) === this.#counts.classicMembers)
  }

  /** How many members use the regular expression. */
  regexUserCount(regex: string): number {
    return this.#counts.regexUsers.get(regex) ?? 0
  }

  /** The regular expressions that members use. */
  usedRegexes(): Iterable<string> {
    return this.#counts.regexUsers.keys()
  }

  get usedRegexCount(): number {
    return this.#counts.regexUsers.size
  }

  /** The assignor that most members ask for; null if none asks for any. */
  get preferredAssignor(): string | null {
    return this.#counts.preferredAssignor()
  }

  /** Whether committed offsets of the topic are in use: some member subscribes to it, by name or by a regular expression. */
  override isSubscribedTo(topic: string): boolean {
    if (super.isSubscribedTo(topic)) return true
    for (const { topics } of this.regexes.values()) if (includesName(topics, topic)) return true
    return false
  }

  /** All that is subscribed to, by name or by regular expression, each once. */
  override subscribedTopics(): Iterable<string> {
    if (this.regexes.size === 0) return super.subscribedTopics()
    const topics = new Set(super.subscribedTopics())
    for (const regex of this.regexes.values()) for (const topic of regex.topics) topics.add(topic)
    return topics
  }

  /** Of one member. One that is not resolved yet matches nothing. */
  isMemberSubscribedTo({ metadata }: ConsumerMember, topicId: Uuid, directory: TopicDirectory): boolean {
    const name = directory.nameOf(topicId)
    if (name === null) return false
    if (includesName(metadata.subscribedTopics, name)) return true
    const resolved = metadata.topicRegex === null ? undefined : this.regexes.get(metadata.topicRegex)
    return resolved !== undefined && includesName(resolved.topics, name)
  }

  /** Whether a classic member has been told of all it can have by now: if not, it should join again. */
  isWaitingForOthers(member: ConsumerMember): boolean {
    for (const [topicId, partitions] of this.targetOf(member.memberId)) {
      const assigned = new Set(member.assigned.get(topicId) ?? [])
      for (const partition of partitions) {
        if (!assigned.has(partition) && this.ownerOf(topicId, partition) !== undefined) return true
      }
    }
    return false
  }
}

/** Whether an ascending list holds the name. */
function includesName(names: readonly string[], name: string): boolean {
  let start = 0
  let end = names.length
  while (start < end) {
    const middle = (start + end) >>> 1
    if (names[middle]! < name) start = middle + 1
    else end = middle
  }
  return names[start] === name
}
