import { type Random, SeededRandom, SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { ShareCoordinator } from '../../coordinator/share/share-coordinator.ts'
import { imageOf } from '../../coordinator/testing/coordinator-fixture.ts'
import { FakeCoordinatorLog } from '../../coordinator/testing/fake-coordinator-log.ts'
import { topicId } from '../../coordinator/testing/group-driver.ts'
import { ManualTurn } from '../../coordinator/testing/manual-turn.ts'
import { RecordingLogger } from '../../coordinator/testing/recording-logger.ts'
import type { FetchWaiter, Partition } from '../../partition/partition.ts'
import { Breaker } from '../breaker.ts'
import { SharePartition } from '../share-partition.ts'
import type { ShareGroupSettings } from '../share-settings.ts'
import { ShareTotals } from '../share-totals.ts'
import { StateRouter } from '../state/state-router.ts'
import { AcknowledgeType } from '../window/acknowledge.ts'
import { acquire } from '../window/acquire.ts'

const GROUP = 'queue'
const TOPIC = 'topic'
const LOCK_MS = 5000
const LIMIT = 4
const APPEND_ERRORS = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR]

const SETTINGS: ShareGroupSettings = {
  deliveryCountLimit: LIMIT,
  recordLockDurationMs: LOCK_MS,
  maxRecordLocks: 30,
  redeliveryDelayMs: 0,
  redeliveryMaxDelayMs: 0,
  keepsDeadLetters: true,
  offsetReset: { kind: 'earliest' },
  isReadCommitted: false,
  allowsRenewal: true,
  deadLetterTopic: 'dlq.topic',
  copiesRecords: false,
  breaker: { failureCount: 0, windowMs: 1, pauseMs: 1 },
}

/** A record as its consumers know it. */
interface Known {
  /** A member was told that its acceptance, or rejection, is stored. */
  isAccepted: boolean
  isRejected: boolean
  hasLetter: boolean
  holder: string | null
  heldUntilMs: number
}

/** The log of a partition as far as a share partition looks at it. */
class WorldPartition {
  readonly topic = TOPIC
  readonly topicId = topicId(TOPIC)
  readonly partition = 0
  leaderEpoch = 1
  log = { logStartOffset: 0, logEndOffset: 0, highWatermark: 0 }
  readonly #waiters = new Set<FetchWaiter>()

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

/**
 * Members of a share group, the leader of their partition, and the share coordinator with its log, in one seeded world. Faults: appends that
 * fail, a high watermark that lags, coordinators that die and come back on what was committed, leaders that hand over or are replaced while
 * they still write, members that vanish, records that are deleted, time that jumps. The checker hears of everything that members are told.
 */
export class ShareWorld {
  readonly faults: unknown[] = []
  readonly #random: Random
  readonly #clock = new SimulatedClock()
  readonly #timers = new SimulatedTimers(this.#clock)
  readonly #logger = new RecordingLogger()
  readonly #partition = new WorldPartition()
  readonly #records: Known[] = []
  #turn = new ManualTurn()
  #log = new FakeCoordinatorLog()
  #coordinator: ShareCoordinator
  #router: StateRouter
  #share: SharePartition | null = null
  /** What members were given and have not said anything of. */
  #held: { member: string; firstOffset: number; lastOffset: number; life: number }[] = []
  #life = 0
  #delivered = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#coordinator = this.#createCoordinator()
    this.#router = this.#createRouter()
  }

  /** Records given to members, however often. */
  get deliveredCount(): number {
    return this.#delivered
  }

  async run(stepCount: number): Promise<void> {
    await this.#elect()
    await this.#settled(this.#coordinator.initialize(this.#key, 1, 0))
    for (let step = 0; step < stepCount; step++) {
      await this.#step()
      await this.#microtasks()
      if (this.faults.length > 0) throw this.faults[0]
    }
    await this.#converge()
  }

  get #key() {
    return { groupId: GROUP, topicId: topicId(TOPIC) as Uuid, partition: 0 }
  }

  async #step(): Promise<void> {
    const die = this.#random.uint32() % 100
    if (die < 12) this.#append(1 + (this.#random.uint32() % 6))
    else if (die < 32) this.#fetch(`m${this.#random.uint32() % 3}`)
    else if (die < 55) this.#acknowledge()
    else if (die < 58) this.#endSession(`m${this.#random.uint32() % 3}`)
    else if (die < 68) this.#turn.end()
    else if (die < 76) this.#log.commit()
    else if (die < 79) this.#log.commit(this.#log.highWatermark + (this.#random.uint32() % 3))
    else if (die < 88) this.#timers.advance(this.#random.uint32() % (die < 86 ? 500 : LOCK_MS * 2))
    else if (die < 91) this.#log.appendError = APPEND_ERRORS[this.#random.uint32() % APPEND_ERRORS.length]!
    else if (die < 94) this.#log.appendError = 0
    else if (die < 95) this.#deleteRecords(1 + (this.#random.uint32() % 4))
    else if (die < 97) await this.#failCoordinatorOver()
    else if (die < 99) this.#changeLeader()
    else this.#writeLetters()
  }

  #append(count: number): void {
    for (let done = 0; done < count; done++) {
      this.#records.push({ isAccepted: false, isRejected: false, hasLetter: false, holder: null, heldUntilMs: 0 })
    }
    const { log } = this.#partition
    log.logEndOffset += count
    log.highWatermark = log.logEndOffset
    this.#partition.tell()
  }

  #deleteRecords(count: number): void {
    const { log } = this.#partition
    log.logStartOffset = Math.min(log.logEndOffset, log.logStartOffset + count)
    this.#partition.tell()
  }

  #openShare(): SharePartition {
    if (this.#share !== null && !this.#share.isClosed) return this.#share
    this.#life++
    const share = new SharePartition(this.#key, this.#partition as unknown as Partition, {
      clock: this.#clock,
      timers: this.#timers,
      logger: this.#logger,
      store: this.#router,
      totals: new ShareTotals(),
      usage: { recordCount: 0 },
      settings: () => SETTINGS,
      initialOffset: () => Promise.resolve(0),
      breakerOf: () => new Breaker(),
      onDeadLetters: () => undefined,
      onQuiet: () => undefined,
      onClosed: () => this.#onShareClosed(),
    })
    this.#share = share
    share.load().catch((error: unknown) => this.faults.push(error))
    return share
  }

  /** Whoever leads next knows of no holds. */
  #onShareClosed(): void {
    for (const record of this.#records) record.holder = null
  }

  #fetch(memberId: string): void {
    const share = this.#openShare()
    const { window } = share
    const { logStartOffset, highWatermark } = this.#partition.log
    if (window === null || !share.isReadable) return
    const fetchOffset = window.nextFetchOffset()
    if (fetchOffset >= highWatermark || fetchOffset < logStartOffset) return
    const batches = []
    for (let offset = fetchOffset; offset < highWatermark; offset += 3) {
      batches.push({ startOffset: offset, endOffset: Math.min(offset + 3, highWatermark) })
    }
    const nowMs = this.#clock.monotonicMs()
    const acquired = acquire(window, {
      memberId,
      mode: this.#random.uint32() % 2,
      maxRecords: 1 + (this.#random.uint32() % 8),
      batchSize: 3,
      ...{ fetchOffset, batches, nowMs },
      hasRoom: true,
      deliveryCountLimit: LIMIT,
    })
    for (const { firstOffset, lastOffset, deliveryCount } of acquired) {
      for (let offset = firstOffset; offset <= lastOffset; offset++) this.#onDelivered(offset, memberId, deliveryCount)
      this.#held.push({ member: memberId, firstOffset, lastOffset, life: this.#life })
    }
    share.onChanged()
  }

  #onDelivered(offset: number, memberId: string, deliveryCount: number): void {
    const record = this.#records[offset]!
    this.#delivered++
    const nowMs = this.#clock.monotonicMs()
    if (record.isAccepted) throw new Error(`${offset} was delivered after its acceptance was stored`)
    if (record.isRejected) throw new Error(`${offset} was delivered after its rejection was stored`)
    if (deliveryCount > LIMIT) throw new Error(`${offset} was delivered ${deliveryCount} times`)
    if (record.holder !== null && record.heldUntilMs > nowMs) {
      throw new Error(`${offset} was given to ${memberId} while ${record.holder} held it`)
    }
    record.holder = memberId
    record.heldUntilMs = nowMs + LOCK_MS
  }

  #acknowledge(): void {
    const slot = this.#random.uint32() % Math.max(1, this.#held.length)
    const [held] = this.#held.splice(slot, 1)
    const share = this.#share
    if (held === undefined || share === null || held.life !== this.#life) return
    const { ACCEPT, RELEASE, REJECT } = AcknowledgeType
    const type = [ACCEPT, ACCEPT, RELEASE, REJECT][this.#random.uint32() % 4]!
    const { firstOffset, lastOffset, member } = held
    void share.acknowledge(member, [{ firstOffset, lastOffset, acknowledgeTypes: [type] }]).then((errorCode) => {
      if (errorCode !== ErrorCode.NONE) return
      for (let offset = firstOffset; offset <= lastOffset; offset++) this.#onStored(offset, type)
    })
  }

  #onStored(offset: number, type: number): void {
    const record = this.#records[offset]!
    record.holder = null
    if (type === AcknowledgeType.ACCEPT) record.isAccepted = true
    if (type === AcknowledgeType.REJECT) record.isRejected = true
  }

  #endSession(memberId: string): void {
    this.#share?.release(memberId)
    for (const record of this.#records) if (record.holder === memberId) record.holder = null
    this.#held = this.#held.filter(({ member }) => member !== memberId)
  }

  /** Dead letters that are due are written; what the leader is to be told of it, it is told. */
  #writeLetters(): void {
    const share = this.#share
    for (
      let range = share?.window?.nextDeadLetter() ?? null;
      range !== null;
      range = share?.window?.nextDeadLetter() ?? null
    ) {
      for (let offset = range.startOffset; offset < range.endOffset; offset++) this.#records[offset]!.hasLetter = true
      range.isInDeadLetter = true
      share!.onDeadLetterDone(range)
    }
  }

  /** Another broker leads, or this one again in a later epoch; the former leader may not know yet, and what it writes is fenced. */
  #changeLeader(): void {
    this.#partition.leaderEpoch++
    const isTold = this.#random.uint32() % 2 === 0
    const former = this.#share
    this.#share = null
    this.#held = []
    for (const record of this.#records) record.holder = null
    if (isTold) former?.close(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    else if (former !== null) this.#partition.removeFetchWaiter(former)
  }

  /** Dies with what is not committed lost, or hands over a log that has all of it. */
  async #failCoordinatorOver(): Promise<void> {
    const isCrash = this.#random.uint32() % 2 === 0
    if (!isCrash) this.#log.commit()
    this.#coordinator.shutdown()
    this.#turn = new ManualTurn()
    const old = this.#log
    this.#log = isCrash ? old.crash() : old
    this.#log.appendError = 0
    this.#coordinator = this.#createCoordinator()
    await this.#elect()
  }

  #createCoordinator(): ShareCoordinator {
    // Without the topic of states the settings say how many partitions it has.
    const image = imageOf([TOPIC])
    return new ShareCoordinator({
      config: {
        shareCoordinatorStateTopicNumPartitions: 1,
        shareCoordinatorSnapshotUpdateRecordsPerSnapshot: 5,
        shareCoordinatorWriteTimeoutMs: 5000,
        shareCoordinatorAppendLingerMs: -1,
        shareCoordinatorMaxPartitions: 10,
        messageMaxBytes: 1_000_000,
      },
      clock: this.#clock,
      timers: this.#timers,
      logger: this.#logger,
      metadata: () => image,
      enqueueEndOfTurn: (callback) => this.#turn.enqueue(callback),
      nextTurn: () => Promise.resolve(),
      pruneLog: () => undefined,
      onFault: (error) => this.faults.push(error),
    })
  }

  #createRouter(): StateRouter {
    const image = imageOf([TOPIC, '__share_group_state'])
    const coordinator = () => this.#coordinator
    return new StateRouter({
      nodeId: 1,
      clock: this.#clock,
      timers: this.#timers,
      local: {
        partitionFor: () => 0,
        initialize: (...args) => coordinator().initialize(...args),
        read: (...args) => coordinator().read(...args),
        write: (...args) => coordinator().write(...args),
        delete: (...args) => coordinator().delete(...args),
        readSummary: (key) => coordinator().readSummary(key),
      },
      metadata: () => image,
      ensureTopic: () => Promise.resolve(true),
      open: null,
    })
  }

  async #elect(): Promise<void> {
    this.#coordinator.startup()
    await this.#coordinator.onElection(0, this.#log)
    this.#log.commit()
  }

  async #settled<Result>(promise: Promise<Result>): Promise<Result> {
    this.#turn.end()
    this.#log.commit()
    await this.#microtasks()
    return promise
  }

  async #microtasks(): Promise<void> {
    for (let count = 0; count < 12; count++) await Promise.resolve()
  }

  /** No more faults: every record must come to an end, and those that were given up to their dead letters. */
  async #converge(): Promise<void> {
    this.#log.appendError = 0
    const { log } = this.#partition
    for (let round = 0; round < 400; round++) {
      this.#fetch('last')
      while (this.#held.length > 0) {
        const { member, firstOffset, lastOffset, life } = this.#held.pop()!
        if (life !== this.#life) continue
        const batches = [{ firstOffset, lastOffset, acknowledgeTypes: [AcknowledgeType.ACCEPT] }]
        void this.#share!.acknowledge(member, batches)
      }
      for (let count = 0; count < 3; count++) {
        this.#turn.end()
        this.#log.commit()
        await this.#microtasks()
        this.#writeLetters()
      }
      this.#timers.advance(2000)
      await this.#microtasks()
      if (this.#share?.window?.startOffset === log.logEndOffset) break
    }
    const startOffset = this.#share?.window?.startOffset
    if (startOffset !== log.logEndOffset) throw new Error(`records are left: ${startOffset} of ${log.logEndOffset}`)
    for (const [offset, { isRejected, hasLetter }] of this.#records.entries()) {
      if (isRejected && !hasLetter && offset >= log.logStartOffset) throw new Error(`${offset} has no dead letter`)
    }
  }
}
