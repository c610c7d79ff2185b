import type { Timer } from '@millrace/base'
import { errorInfo } from '@millrace/protocol'
import { ClientCore } from '../client/client-core.ts'
import { partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { ClientClosedError, StateError, TimeoutError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import { type Committer, fetchCommitted, outsideCommitter } from '../offsets/committed-offsets.ts'
import type { FoundOffset, OffsetSpec } from '../offsets/offset-lookup.ts'
import { offsetNumber } from '../offsets/offset-number.ts'
import { type OffsetToCommit, toCommitted } from '../offsets/offset-to-commit.ts'
import { findOffsets } from '../offsets/topic-offsets.ts'
import { wait } from '../retry/wait.ts'
import { AssignedPartitions } from './assigned-partitions.ts'
import { ConsumerGroupMembership } from './consumer-group/consumer-group-membership.ts'
import { Reconciler } from './consumer-group/reconciler.ts'
import { type ConsumerOptions, type ResolvedConsumerOptions, resolveConsumerOptions } from './consumer-options.ts'
import type { ConsumerBatch, ConsumerRecord } from './consumer-record.ts'
import { Fetcher } from './fetcher.ts'
import { GroupMembership } from './group-membership.ts'
import type { GroupSteps, Membership } from './membership.ts'
import { OffsetCommitter } from './offset-committer.ts'
import { PartitionHandover, type RebalanceListener } from './partition-handover.ts'
import { PositionResolver } from './position-resolver.ts'
import { Progress } from './progress.ts'
import { Rebalancer } from './rebalancer.ts'
import { RecordTaker } from './record-taker.ts'
import { Subscription, SubscriptionPattern } from './subscription.ts'

/** A partition to read, and where to begin: at an offset, at an end, at a time, or (left out) where the group or the policy says. */
export interface AssignedPartition extends TopicPartition {
  start?: bigint | number | OffsetSpec
}

/** A committed offset as a group keeps it. */
export interface GroupOffset extends TopicPartition {
  offset: bigint
  leaderEpoch: number
  metadata: string | null
}

export interface PollOptions {
  /** How long to wait for records. Left out: until there are some. 0: not at all. */
  timeoutMs?: number
  /** Left out: `maxPollRecords`. */
  maxRecords?: number
  /** Aborting makes the poll return what it has, maybe nothing. */
  signal?: AbortSignal
}

const CLOSE_LIMIT_MS = 30_000

/**
 * Reads records of partitions that it is given by a group (`subscribe`) or by hand (`assign`). Fetches ahead in the background; all
 * that concerns the application (records, gained and lost partitions) happens inside `poll` or an iteration, one at a time.
 *
 * Coming back for more says that everything handed out before was dealt with: that is what automatic commits commit.
 */
export class Consumer implements AsyncDisposable {
  readonly #core: ClientCore
  readonly #options: ResolvedConsumerOptions
  readonly #progress: Progress
  readonly #assigned = new AssignedPartitions()
  readonly #taker = new RecordTaker(this.#assigned)
  readonly #resolver: PositionResolver
  readonly #fetcher: Fetcher
  readonly #committer: OffsetCommitter
  readonly #membership: Membership | null
  readonly #rebalancer: GroupSteps | null
  readonly #errors: unknown[] = []
  #mode: 'none' | 'subscribed' | 'assigned' = 'none'
  #subscription: Subscription | null = null
  #assignedTopics: string[] = []
  #polling: Promise<unknown> | null = null
  #pollTimer: Timer | null = null
  /** Records were handed out by `poll`: whoever closes has dealt with them. After a `break` out of an iteration nobody knows. */
  #closeMeansProcessed = true
  #closing: Promise<void> | null = null

  /** Throws `ConfigurationError` for settings that are wrong or do not go together. */
  constructor(options: ConsumerOptions) {
    this.#options = resolveConsumerOptions(options)
    this.#core = new ClientCore(
      { ...options, maxResponseBytes: options.maxResponseBytes ?? Math.max(2 ** 27, 2 * this.#options.fetchMaxBytes) },
      { maxInFlightRequestsPerConnection: 100, allowAutoTopicCreation: this.#options.allowAutoCreateTopics },
    )
    this.#progress = new Progress(this.#core.ports)
    const onProgress = () => this.#pump()
    const onError = (error: unknown) => this.#report(error)
    const member = () =>
      this.#mode === 'subscribed' && this.#options.groupProtocol === 'consumer' ? this.#membership!.committer() : null
    this.#resolver = new PositionResolver(this.#core, this.#options, this.#assigned, member, onProgress, onError)
    this.#fetcher = new Fetcher(this.#core, this.#options, this.#assigned, this.#resolver, onProgress, onError)
    const { groupId } = this.#options
    const classic = groupId !== null && this.#options.groupProtocol === 'classic' ? this.#newClassic(groupId) : null
    const modern = groupId !== null && this.#options.groupProtocol === 'consumer' ? this.#newModern(groupId) : null
    const membership: Membership | null = classic ?? modern
    this.#membership = membership
    this.#committer = new OffsetCommitter(
      this.#core,
      this.#options,
      this.#assigned,
      () => (this.#mode === 'subscribed' ? membership!.committer() : outsideCommitter(groupId ?? '')),
      () => membership?.isRejoining === true,
      () => membership?.requestRejoin('a commit met a rebalance'),
    )
    const handover = new PartitionHandover(this.#assigned, this.#committer)
    if (classic !== null) {
      this.#rebalancer = new Rebalancer(classic, this.#assigned, handover, () => this.#subscription?.topics() ?? [])
    } else {
      this.#rebalancer = modern && new Reconciler(this.#core, modern, this.#assigned, handover)
    }
    this.#core.metadata.onUpdate(({ topicErrors }) => this.#onMetadata(topicErrors))
  }

  /** Joins the group for these topics at the next poll: names, or a pattern that new topics may match later, here or at the brokers. */
  subscribe(topics: string | readonly string[] | RegExp | SubscriptionPattern, listener: RebalanceListener = {}): void {
    this.#assertOpen()
    if (topics instanceof SubscriptionPattern && this.#options.groupProtocol === 'classic') {
      throw new StateError("a pattern that brokers match needs groupProtocol 'consumer'")
    }
    if (this.#rebalancer === null) throw new StateError('subscribe needs a groupId; use assign without a group')
    if (this.#mode === 'assigned') throw new StateError('partitions are assigned by hand; unsubscribe first')
    const before = this.#subscription
    const wanted = typeof topics === 'string' ? [topics] : topics
    this.#subscription = new Subscription(this.#core, wanted, this.#options.excludeInternalTopics)
    before?.end()
    this.#mode = 'subscribed'
    this.#rebalancer.listener = listener
    this.#membership!.requestRejoin('the subscription changed')
  }

  /**
   * Reads exactly these partitions. Those that were assigned before keep their position unless `start` is given; with automatic commits on,
   * what was dealt with so far is committed in the background.
   */
  assign(partitions: readonly AssignedPartition[]): void {
    this.#assertOpen()
    if (this.#mode === 'subscribed') throw new StateError('the consumer is subscribed; unsubscribe first')
    this.#mode = 'assigned'
    const topics = [...new Set(partitions.map(({ topic }) => topic))]
    for (const topic of topics) this.#core.metadata.addTopic(topic)
    for (const topic of this.#assignedTopics) this.#core.metadata.removeTopic(topic)
    if (topics.some((topic) => !this.#assignedTopics.includes(topic))) this.#core.metadata.requestUpdate()
    this.#assignedTopics = topics
    // What was dealt with in partitions that go would otherwise be read again by whoever gets them.
    void this.#committer.commitProcessed(this.#core.options.requestTimeoutMs)
    this.#assigned.replace(partitions)
    for (const { topic, partition, start } of partitions) {
      if (start === undefined) continue
      if (typeof start === 'bigint' || typeof start === 'number') this.seek({ topic, partition }, start)
      else this.#assigned.get({ topic, partition }).resetAt(start)
    }
    this.#pump()
  }

  /** Leaves the group or gives up the assigned partitions, committing first where automatic commits are on. */
  async unsubscribe(): Promise<void> {
    this.#assertOpen()
    await this.#exclusively(async () => {
      if (this.#closeMeansProcessed) this.#assigned.markProcessed()
      if (this.#mode === 'subscribed') {
        try {
          await this.#rebalancer!.giveUpAll()
        } finally {
          await this.#membership!.leave('unsubscribed', this.#core.options.requestTimeoutMs, true)
          this.#subscription?.end()
          this.#subscription = null
          this.#mode = 'none'
        }
      } else {
        await this.#committer.commitProcessed(this.#core.options.requestTimeoutMs)
        this.#assigned.replace([])
        for (const topic of this.#assignedTopics) this.#core.metadata.removeTopic(topic)
        this.#assignedTopics = []
      }
      this.#mode = 'none'
    })
  }

  /**
   * Waits for records and hands them out, in batches of one partition each. Rejects with what went wrong since the last poll
   * (`ProtocolError`, `NoOffsetError`, `UnreadableRecordError`, …); polling again goes on. Empty at the time limit.
   */
  poll(options: PollOptions = {}): Promise<ConsumerBatch[]> {
    this.#closeMeansProcessed = true
    return this.#poll(options, Number.MAX_SAFE_INTEGER)
  }

  /** Endless batches of one partition each. Ends when the consumer closes or the signal aborts. */
  async *batches(
    options: { signal?: AbortSignal; maxRecords?: number } = {},
  ): AsyncGenerator<ConsumerBatch, void, undefined> {
    while (this.#closing === null && options.signal?.aborted !== true) {
      const [batch] = await this.#poll(options, 1)
      if (batch === undefined) continue
      this.#closeMeansProcessed = false
      yield batch
      this.#closeMeansProcessed = true
    }
  }

  /** Endless records. As {@link batches}; each is dealt with when the next is asked for, and an early end loses none. */
  async *records(options: { signal?: AbortSignal } = {}): AsyncGenerator<ConsumerRecord, void, undefined> {
    for await (const batch of this.batches(options)) {
      const state = this.#assigned.find(batch.topic, batch.partition)
      const version = state?.version
      let slot = 0
      try {
        for (; slot < batch.records.length; slot++) {
          const record = batch.records[slot]!
          yield record
          // Unless the application moved elsewhere meanwhile. Offset and epoch belong together: validation compares them (KIP-320).
          if (state === null || state.version !== version) continue
          state.processedOffset = Number(record.offset) + 1
          state.processedEpoch = record.leaderEpoch
        }
      } finally {
        if (slot < batch.records.length) this.#assigned.takeBack(batch, slot)
      }
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<ConsumerBatch, void, undefined> {
    return this.batches()
  }

  /** The partitions that are read now. */
  assignment(): TopicPartition[] {
    return this.#assigned.list()
  }

  /** Goes on at an offset. */
  seek(place: TopicPartition, offset: bigint | number): void {
    this.#assertOpen()
    this.#assigned.get(place).moveTo({ offset: offsetNumber(offset), leaderEpoch: -1 })
    this.#pump()
  }

  /** Goes on at an end of the log, or at the first record at or after a time; found out in the background. */
  seekTo(places: readonly TopicPartition[], spec: OffsetSpec): void {
    this.#assertOpen()
    for (const place of places) this.#assigned.get(place).resetAt(spec)
    this.#pump()
  }

  /** Hands out nothing of these partitions and fetches no more of them; what was fetched is kept. */
  pause(places: readonly TopicPartition[]): void {
    for (const place of places) this.#assigned.get(place).paused = true
  }

  resume(places: readonly TopicPartition[]): void {
    for (const place of places) this.#assigned.get(place).paused = false
    this.#pump()
  }

  paused(): TopicPartition[] {
    return this.#assigned.paused()
  }

  /** Offset of the next record that will be handed out, waiting until it is known. Rejects with `TimeoutError`. */
  async position(place: TopicPartition, options: { timeoutMs?: number } = {}): Promise<bigint> {
    const timeoutMs = options.timeoutMs ?? this.#core.options.defaultApiTimeoutMs
    const deadlineMs = this.#core.ports.clock.monotonicMs() + timeoutMs
    for (;;) {
      this.#assertOpen()
      const state = this.#assigned.get(place)
      if (state.position !== null && state.status !== 'resetting') return BigInt(state.position.offset)
      const leftMs = deadlineMs - this.#core.ports.clock.monotonicMs()
      if (leftMs <= 0) throw new TimeoutError(`no position within ${timeoutMs} ms`, timeoutMs)
      this.#pump()
      await wait(this.#core.ports.timers, Math.min(leftMs, this.#core.options.retryBackoffMs), this.#core.closing)
    }
  }

  /** How many records of each partition are still to be read, as of the last fetch; null where none was answered yet. */
  lag(): (TopicPartition & { lag: bigint | null })[] {
    return this.#assigned.lag(this.#options.isolationLevel === 'read_committed')
  }

  /**
   * Commits offsets: those given, or the positions of all partitions (everything handed out counts as dealt with). Rejects with
   * `ProtocolError` when the member was thrown out of the group (`ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID`, …).
   */
  async commit(offsets?: readonly OffsetToCommit[]): Promise<void> {
    this.#assertOpen()
    if (this.#options.groupId === null) throw new StateError('committing needs a groupId')
    const list = offsets?.map(toCommitted) ?? this.#assigned.positions()
    // Said by the application itself: automatic commits must not take it back.
    this.#assigned.noteProcessed(list)
    await this.#committer.commit(list, this.#core.options.defaultApiTimeoutMs)
  }

  /**
   * Who this consumer is in its group, for offsets that a transaction commits (KIP-447): as of the last poll, so that a transaction about
   * partitions that were lost meanwhile is refused. Ask anew for each transaction, before polling again.
   */
  groupMetadata(): Committer {
    const { groupId } = this.#options
    if (groupId === null) throw new StateError('group metadata needs a groupId')
    return this.#mode === 'subscribed' ? this.#membership!.committerInUse() : outsideCommitter(groupId)
  }

  /** What the group has committed for these partitions; absent where it has nothing. */
  async committed(places: readonly TopicPartition[]): Promise<GroupOffset[]> {
    this.#assertOpen()
    const { groupId } = this.#options
    if (groupId === null) throw new StateError('committed offsets need a groupId')
    const requireStable = this.#options.isolationLevel === 'read_committed'
    const found = await this.#core.retrying(
      'reading committed offsets',
      this.#core.options.defaultApiTimeoutMs,
      (leftMs) => fetchCommitted(this.#core, groupId, places, requireStable, leftMs),
    )
    return found.map((committed) => ({ ...committed, offset: BigInt(committed.offset) }))
  }

  /** Offsets of an end of the log, or of the first record at or after a time (-1n if there is none). Needs no assignment. */
  async findOffsets(
    places: readonly TopicPartition[],
    spec: OffsetSpec,
  ): Promise<(TopicPartition & { offset: bigint; timestamp: number })[]> {
    this.#assertOpen()
    const questions = places.map(({ topic, partition }) => ({ topic, partition, spec }))
    const { isolationLevel } = this.#options
    const found = await findOffsets(this.#core, questions, isolationLevel, this.#core.options.defaultApiTimeoutMs)
    return found.map(({ topic, partition, offset, timestamp }: FoundOffset) => {
      return { topic, partition, offset: BigInt(offset), timestamp }
    })
  }

  /**
   * Partition numbers of a topic, asking the cluster if need be. With `unknownLimitMs`, brokers may deny the topic for so long; then
   * it rejects with their `ProtocolError` in place of waiting out `defaultApiTimeoutMs`.
   */
  async partitionsOf(topic: string, options: { unknownLimitMs?: number } = {}): Promise<number[]> {
    this.#assertOpen()
    const timeoutMs = this.#core.options.defaultApiTimeoutMs
    const view = await this.#core.metadata.awaitTopic(topic, timeoutMs, options.unknownLimitMs)
    return view.partitions.map(({ partition }) => partition)
  }

  /**
   * Ends polls and iterations, commits what was dealt with (with automatic commits on), gives up partitions, leaves the group and
   * closes the connections, within `timeoutMs`. Later calls give the same promise.
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? CLOSE_LIMIT_MS)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const limit = new AbortController()
    this.#progress.notify()
    await Promise.race([
      this.#leaveInOrder(timeoutMs).catch((error: unknown) => this.#options.onEvent({ type: 'commit-failed', error })),
      wait(this.#core.ports.timers, timeoutMs, limit.signal),
    ])
    limit.abort()
    this.#pollTimer?.cancel()
    this.#committer.stop()
    this.#membership?.close()
    this.#fetcher.close()
    this.#resolver.close()
    this.#core.close()
  }

  async #leaveInOrder(timeoutMs: number): Promise<void> {
    // The poll under way ends by itself now; its error, if any, has reached its caller.
    await this.#polling?.catch(() => undefined)
    this.#committer.stop()
    if (this.#closeMeansProcessed) this.#assigned.markProcessed()
    if (this.#mode === 'subscribed') {
      try {
        await this.#rebalancer!.giveUpAll()
      } finally {
        await this.#membership!.leave('the consumer is closing', timeoutMs)
      }
    } else {
      await this.#committer.commitProcessed(timeoutMs)
    }
  }

  #newClassic(groupId: string): GroupMembership {
    return new GroupMembership(this.#core, this.#options, groupId, {
      topics: () => this.#subscription?.topics() ?? [],
      owned: () => this.#assigned.list(),
      onProgress: () => this.#progress.notify(),
    })
  }

  #newModern(groupId: string): ConsumerGroupMembership {
    const { groupRemoteAssignor: serverAssignor, clientRack: rackId, maxPollIntervalMs } = this.#options
    return new ConsumerGroupMembership(this.#core, this.#options, groupId, {
      wishes: () => ({
        topics: this.#subscription?.topics() ?? [],
        pattern: this.#subscription?.serverPattern ?? null,
        serverAssignor,
        rackId,
        rebalanceTimeoutMs: maxPollIntervalMs,
      }),
      onProgress: () => this.#progress.notify(),
      onError: (error) => this.#report(error),
    })
  }

  #poll(options: PollOptions, maxBatches: number): Promise<ConsumerBatch[]> {
    return this.#exclusively(() => this.#pollLoop(options, maxBatches))
  }

  async #exclusively<T>(run: () => Promise<T>): Promise<T> {
    this.#assertOpen()
    if (this.#polling !== null) throw new StateError('another poll or iteration of this consumer is waiting')
    this.#pollTimer?.cancel()
    const running = run()
    this.#polling = running
    try {
      return await running
    } finally {
      this.#polling = null
      this.#armPollTimer()
    }
  }

  async #pollLoop(options: PollOptions, maxBatches: number): Promise<ConsumerBatch[]> {
    const { clock } = this.#core.ports
    const deadlineMs = clock.monotonicMs() + (options.timeoutMs ?? Number.POSITIVE_INFINITY)
    const maxRecords = options.maxRecords ?? this.#options.maxPollRecords
    const onAbort = () => this.#progress.notify()
    options.signal?.addEventListener('abort', onAbort)
    try {
      this.#assigned.markProcessed()
      for (;;) {
        if (this.#errors.length > 0) throw this.#errors.shift()
        if (this.#closing !== null) return []
        await this.#stepGroup()
        const batches = this.#taker.take(maxRecords, maxBatches)
        this.#resolver.pump()
        this.#fetcher.pump()
        const leftMs = deadlineMs - clock.monotonicMs()
        if (batches.length > 0 || leftMs <= 0 || options.signal?.aborted === true) return batches
        await this.#progress.next(Math.min(leftMs, this.#options.maxPollIntervalMs))
      }
    } finally {
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  async #stepGroup(): Promise<void> {
    if (this.#mode !== 'subscribed') {
      if (this.#options.groupId !== null) this.#committer.start()
      return
    }
    this.#committer.start()
    if (this.#subscription!.isPattern && this.#core.metadata.view.brokers.size === 0) {
      await this.#core.ensureMetadata(this.#core.options.defaultApiTimeoutMs)
      this.#subscription!.refresh()
    }
    await this.#rebalancer!.step()
  }

  #pump(): void {
    if (this.#core.isClosed) return
    this.#resolver.pump()
    this.#fetcher.pump()
    this.#progress.notify()
  }

  #onMetadata(topicErrors: ReadonlyMap<string, number>): void {
    for (const [topic, errorCode] of topicErrors) {
      const isOurs = this.#assignedTopics.includes(topic) || this.#subscription?.topics().includes(topic)
      // May not be read, or can have no such name: nothing will ever come, and silence would look like an empty topic.
      if (isOurs && !errorInfo(errorCode).retriable) this.#report(new ProtocolError(errorCode, { topic }))
    }
    this.#resolver.checkLeaders()
    this.#membership?.onMetadata()
    if (this.#subscription?.refresh()) this.#membership!.requestRejoin('other topics match the subscription')
    this.#pump()
  }

  #report(error: unknown): void {
    // The same failure of the same partition, found again before anybody asked, is one failure.
    const key = errorKey(error)
    if (!this.#errors.some((known) => errorKey(known) === key)) this.#errors.push(error)
    this.#progress.notify()
  }

  #armPollTimer(): void {
    if (this.#membership === null || this.#mode !== 'subscribed' || this.#closing !== null) return
    this.#pollTimer = this.#core.ports.timers.setTimer(this.#options.maxPollIntervalMs, () => {
      if (this.#membership!.isMember) void this.#membership!.expire(this.#core.options.requestTimeoutMs)
    })
  }

  #assertOpen(): void {
    if (this.#closing !== null) throw new ClientClosedError('consumer')
  }
}

function errorKey(error: unknown): string {
  const { code, topic, partition } = error as { code?: string; topic?: string; partition?: number }
  return partitionKey(`${code}/${topic}`, partition ?? -1)
}
