import { type Offset, type Random, SeededRandom, SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { ShareCoordinator } from '../../coordinator/share/share-coordinator.ts'
import { imageOf } from '../../coordinator/testing/coordinator-fixture.ts'
import { FakeCoordinatorLog } from '../../coordinator/testing/fake-coordinator-log.ts'
import { topicId } from '../../coordinator/testing/group-driver.ts'
import { ManualTurn } from '../../coordinator/testing/manual-turn.ts'
import { RecordingLogger } from '../../coordinator/testing/recording-logger.ts'
import type { FetchedShare } from '../fetch/share-fetch-operation.ts'
import type { SharePartition } from '../share-partition.ts'
import type { ShareGroupSettings } from '../share-settings.ts'
import { StateRouter } from '../state/state-router.ts'
import { AcknowledgeType } from '../window/acknowledge.ts'
import { PLAIN_SETTINGS } from './plain-settings.ts'
import { WorldBroker } from './world-broker.ts'
import { WorldLog } from './world-log.ts'

const GROUP = 'queue'
const TOPIC = 'topic'
const LOCK_MS = 5000
const LIMIT = 4
const APPEND_ERRORS = [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR]
const MEMBERS = ['m0', 'm1', 'm2']
const { ACCEPT, RELEASE, REJECT, RENEW } = AcknowledgeType
const TYPES = [ACCEPT, ACCEPT, ACCEPT, RELEASE, RELEASE, REJECT, RENEW]

/** A record as its consumers know it. */
interface Known {
  /** A marker of a transaction, a record that compaction took, or one before where an administrator has the group begin. */
  isNoMatter: boolean
  isAborted: boolean
  /** Since it was written, or since the group was told to begin anew. */
  deliveries: number
  /** A member was told that its acceptance, or rejection, is stored. */
  isAccepted: boolean
  isRejected: boolean
  hasLetter: boolean
  holder: string | null
  heldUntilMs: number
}

interface Held {
  readonly member: string
  readonly firstOffset: Offset
  readonly lastOffset: Offset
  readonly share: SharePartition
}

/**
 * Members of a share group with their sessions and fetches, the leader of their partition, and the share coordinator with its log, in one
 * seeded world. Faults: appends that fail, a high watermark that lags, reads that take their time, coordinators that die and come back on what
 * was committed, leaders that hand over, are replaced while they still write, or are elected without having all records, members that vanish
 * amid a fetch, records that are deleted, compacted or aborted, offsets that an administrator sets, time that jumps. The checker hears of
 * everything that members are told; in the end every record must have come to somebody.
 */
export class ShareWorld {
  readonly faults: unknown[] = []
  readonly #random: Random
  readonly #clock = new SimulatedClock()
  readonly #timers = new SimulatedTimers(this.#clock)
  readonly #logger = new RecordingLogger()
  readonly #settings: ShareGroupSettings
  readonly #records: Known[] = []
  readonly #data = new WorldLog()
  #turn = new ManualTurn()
  #log = new FakeCoordinatorLog()
  #coordinator: ShareCoordinator
  #router: StateRouter
  #leaderEpoch = 1
  #stateEpoch = 1
  #broker: WorldBroker
  /** Leaders that were replaced, and do not know. */
  readonly #formers: WorldBroker[] = []
  /** The share partition whose holds are known. */
  #share: SharePartition | undefined
  /** What members were given and have not said anything of. */
  #held: Held[] = []
  #delivered = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#settings = {
      ...PLAIN_SETTINGS,
      deliveryCountLimit: LIMIT,
      recordLockDurationMs: LOCK_MS,
      maxRecordLocks: this.#oneOf(5, 30),
      redeliveryDelayMs: this.#oneOf(0, 0, 2000),
      redeliveryMaxDelayMs: 4000,
      keepsDeadLetters: this.#oneOf(true, false),
      isReadCommitted: this.#oneOf(true, false),
      deadLetterTopic: 'dlq.topic',
    }
    this.#coordinator = this.#createCoordinator()
    this.#router = this.#createRouter()
    this.#broker = this.#createBroker()
  }

  /** Records given to members, however often. */
  get deliveredCount(): number {
    return this.#delivered
  }

  async run(stepCount: number): Promise<void> {
    await this.#elect()
    await this.#insist(() => this.#coordinator.initialize(this.#key, 1, 0))
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

  #below(count: number): number {
    return this.#random.uint32() % count
  }

  #oneOf<Value>(...values: Value[]): Value {
    return values[this.#below(values.length)]!
  }

  async #step(): Promise<void> {
    const die = this.#below(120)
    const member = this.#oneOf(...MEMBERS)
    if (die < 12) this.#append()
    else if (die < 34) this.#fetch(member)
    else if (die < 57) this.#acknowledge()
    else if (die < 60) this.#leave(member)
    else if (die < 70) this.#turn.end()
    else if (die < 78) this.#log.commit()
    else if (die < 81) this.#log.commit(this.#log.highWatermark + this.#below(3))
    else if (die < 90) this.#timers.advance(this.#below(die < 88 ? 500 : LOCK_MS * 2))
    else if (die < 93) this.#log.appendError = this.#oneOf(...APPEND_ERRORS)
    else if (die < 97) this.#log.appendError = 0
    else if (die < 102) this.#data.finishReads()
    else if (die < 104) this.#data.isCold = !this.#data.isCold
    else if (die < 105) this.#deleteRecords(1 + this.#below(4))
    else if (die < 107) this.#compact()
    else if (die < 110) this.#endTransaction(this.#oneOf(true, false))
    else if (die < 112) await this.#failCoordinatorOver()
    else if (die < 114) this.#changeLeader()
    else if (die < 115) await this.#electUnclean()
    else if (die < 116) await this.#setOffset()
    else this.#writeLetters()
  }

  #append(): void {
    const isTransactional = this.#below(3) === 0
    const count = 1 + this.#below(this.#oneOf(3, 12))
    this.#data.append(count, isTransactional)
    this.#note(count, false)
  }

  #endTransaction(commits: boolean): void {
    const { openOffset } = this.#data
    if (openOffset === null) return
    for (const offset of this.#data.producedOffsets(openOffset)) this.#records[offset]!.isAborted = !commits
    this.#data.endTransaction(commits)
    this.#note(1, true)
  }

  #note(count: number, isNoMatter: boolean): void {
    for (let done = 0; done < count; done++) {
      this.#records.push({
        ...{ isNoMatter, isAborted: false, deliveries: 0, isAccepted: false, isRejected: false, hasLetter: false },
        ...{ holder: null, heldUntilMs: 0 },
      })
    }
    this.#broker.partition.tell()
  }

  #deleteRecords(count: number): void {
    this.#data.logStartOffset = Math.min(this.#data.logEndOffset, this.#data.logStartOffset + count)
    this.#broker.partition.tell()
  }

  #compact(): void {
    const startOffset = this.#below(this.#records.length + 1)
    const taken = this.#data.compact(startOffset, startOffset + this.#oneOf(5, 20, 1000))
    for (const offset of taken) this.#records[offset]!.isNoMatter = true
  }

  #fetch(memberId: string): void {
    const parameters = {
      memberId,
      maxWaitMs: this.#oneOf(0, 300, 3000),
      minBytes: 1,
      maxBytes: this.#oneOf(1, 500, 100_000),
      maxRecords: 1 + this.#below(8),
      batchSize: 3,
      mode: this.#below(2),
    }
    const broker = this.#broker
    broker.fetch(parameters, (answer, share, isMember) => {
      // What a leader that was replaced, and does not know, gives to members nobody can prevent.
      if (broker === this.#broker) this.#onFetched(memberId, answer, share, isMember)
    })
    this.#noticeShare()
  }

  #leave(memberId: string): void {
    this.#broker.leave(memberId, this.#oneOf(true, false))
    for (const record of this.#records) if (record.holder === memberId) record.holder = null
    this.#held = this.#held.filter(({ member }) => member !== memberId)
  }

  #onFetched(memberId: string, { acquired }: FetchedShare, share: SharePartition, isMember: boolean): void {
    this.#noticeShare()
    if (acquired.length > 0 && !isMember) this.faults.push(new Error(`${memberId} was given records after its session`))
    for (const { firstOffset, lastOffset, deliveryCount } of acquired) {
      for (let offset = firstOffset; offset <= lastOffset; offset++) this.#onDelivered(offset, memberId, deliveryCount)
      this.#held.push({ member: memberId, firstOffset, lastOffset, share })
    }
  }

  /** Whoever leads next knows of no holds. */
  #noticeShare(): void {
    const share = this.#broker.share
    if (share === this.#share) return
    this.#share = share
    for (const record of this.#records) record.holder = null
  }

  #onDelivered(offset: number, memberId: string, deliveryCount: number): void {
    const record = this.#records[offset]!
    this.#delivered++
    record.deliveries++
    const nowMs = this.#clock.monotonicMs()
    const fail = (what: string) => this.faults.push(new Error(`${offset} was ${what}`))
    if (record.isAccepted) fail('delivered after its acceptance was stored')
    if (record.isRejected) fail('delivered after its rejection was stored')
    if (deliveryCount > LIMIT) fail(`delivered ${deliveryCount} times`)
    if (this.#settings.isReadCommitted) {
      if (record.isAborted && !record.isNoMatter) fail('delivered though it is of an aborted transaction')
      if (offset >= this.#data.lastStableOffset) fail('delivered though its transaction is open')
    }
    if (record.holder !== null && record.heldUntilMs > nowMs)
      fail(`given to ${memberId} while ${record.holder} held it`)
    record.holder = memberId
    record.heldUntilMs = nowMs + LOCK_MS
  }

  #acknowledge(): void {
    const [held] = this.#held.splice(this.#below(Math.max(1, this.#held.length)), 1)
    if (held !== undefined) this.#say(held, this.#oneOf(...TYPES))
  }

  #say(held: Held, type: number): void {
    const { firstOffset, lastOffset, member, share } = held
    if (share !== this.#broker.share) return
    const acknowledged = share.acknowledge(member, [{ firstOffset, lastOffset, acknowledgeTypes: [type] }])
    if (type === RENEW) this.#held.push(held)
    void acknowledged.then((errorCode) => {
      if (errorCode !== ErrorCode.NONE || share !== this.#share) return
      for (let offset = firstOffset; offset <= lastOffset; offset++) this.#onStored(offset, type)
    })
  }

  #onStored(offset: number, type: number): void {
    const record = this.#records[offset]!
    if (type === RENEW) record.heldUntilMs = this.#clock.monotonicMs() + LOCK_MS
    else record.holder = null
    if (type === ACCEPT) record.isAccepted = true
    if (type === REJECT) record.isRejected = true
  }

  /** Dead letters that are due are written; what the leader is to be told of it, it is told. */
  #writeLetters(): void {
    const { share } = this.#broker
    for (let range = share?.window?.nextDeadLetter(); range != null; range = share?.window?.nextDeadLetter()) {
      for (let offset = range.startOffset; offset < range.endOffset; offset++) this.#records[offset]!.hasLetter = true
      range.isInDeadLetter = true
      share!.onDeadLetterDone(range)
    }
  }

  /** Another broker leads; the former leader may not know yet, and what it writes is fenced. */
  #changeLeader(): void {
    const former = this.#broker
    this.#leaderEpoch++
    this.#broker = this.#createBroker()
    this.#held = []
    this.#noticeShare()
    if (this.#oneOf(true, false)) former.stop()
    else this.#formers.push(former)
  }

  /** A replica leads that does not have the last batches. Its share partition is loaded before something else is written there. */
  async #electUnclean(): Promise<void> {
    this.#broker.stop()
    this.#data.truncate(
      this.#data.logStartOffset + this.#below(this.#data.logEndOffset - this.#data.logStartOffset + 1),
    )
    this.#records.length = this.#data.logEndOffset
    // The marker is lost that members had not to see these for; whether they do now is nobody's promise.
    const { openOffset } = this.#data
    for (const offset of openOffset === null ? [] : this.#data.producedOffsets(openOffset)) {
      if (this.#records[offset]!.isAborted) this.#records[offset]!.isNoMatter = true
    }
    this.#changeLeader()
    this.#log.appendError = 0
    for (let round = 0; round < 100 && this.#broker.share?.state !== 'active'; round++) {
      this.#fetch('m0')
      await this.#pass()
    }
  }

  /** All members leave, and the administrator has the group begin elsewhere, or deletes it and makes it anew. */
  async #setOffset(): Promise<void> {
    for (const member of MEMBERS) this.#leave(member)
    await this.#pass()
    const window = this.#broker.share?.window
    const isIdle = window === undefined || (window !== null && !window.needsWrite && window.archivingCount === 0)
    const { logStartOffset, logEndOffset } = this.#data
    const offset = logStartOffset + this.#below(logEndOffset - logStartOffset + 1)
    if (isIdle && this.#oneOf(true, true, false)) {
      // With the state goes what fences leaders of before.
      for (const former of this.#formers.splice(0)) former.stop()
      await this.#insist(() => this.#coordinator.delete(this.#key))
      this.#stateEpoch = 1
    } else this.#stateEpoch++
    await this.#insist(() => this.#coordinator.initialize(this.#key, this.#stateEpoch, offset))
    for (const [slot, record] of this.#records.entries()) {
      if (slot < offset) record.isNoMatter = true
      else
        Object.assign(record, { deliveries: 0, isAccepted: false, isRejected: false, hasLetter: false, holder: null })
    }
    this.#held = []
    // While what the leader has of before may still be there.
    if (this.#oneOf(true, false)) this.#fetch('m0')
  }

  /** Dies with what is not committed lost, or hands over a log that has all of it. */
  async #failCoordinatorOver(): Promise<void> {
    const isCrash = this.#oneOf(true, false)
    if (!isCrash) this.#log.commit()
    this.#coordinator.shutdown()
    this.#turn = new ManualTurn()
    const old = this.#log
    this.#log = isCrash ? old.crash() : old
    this.#log.appendError = 0
    this.#coordinator = this.#createCoordinator()
    await this.#elect()
  }

  #createBroker(): WorldBroker {
    return new WorldBroker({
      key: this.#key,
      topic: TOPIC,
      leaderEpoch: this.#leaderEpoch,
      log: this.#data,
      clock: this.#clock,
      timers: this.#timers,
      logger: this.#logger,
      store: this.#router,
      settings: this.#settings,
      onFault: (error) => this.faults.push(error),
    })
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

  /** Does it until it is done. */
  async #insist(operate: () => Promise<{ readonly errorCode: number }>): Promise<void> {
    this.#log.appendError = 0
    for (let count = 0; count < 20; count++) {
      const outcome = operate()
      await this.#pass()
      if ((await outcome).errorCode === ErrorCode.NONE) return
    }
    throw new Error('the share coordinator does not take what it is told')
  }

  /** Everything that is on its way arrives. */
  async #pass(): Promise<void> {
    for (let count = 0; count < 3; count++) {
      this.#turn.end()
      this.#log.commit()
      this.#data.finishReads()
      await this.#microtasks()
    }
    this.#timers.advance(50)
    await this.#microtasks()
  }

  async #microtasks(): Promise<void> {
    for (let count = 0; count < 40; count++) await Promise.resolve()
  }

  /** No more faults: every record must come to an end, and those that were given up to their dead letters. */
  async #converge(): Promise<void> {
    this.#log.appendError = 0
    this.#data.isCold = false
    this.#endTransaction(true)
    const { logEndOffset, logStartOffset } = this.#data
    const startOffset = () => this.#broker.share?.window?.startOffset
    for (let round = 0; round < 400 && startOffset() !== logEndOffset; round++) {
      this.#fetch('last')
      await this.#pass()
      for (const held of this.#held.splice(0)) this.#say(held, ACCEPT)
      await this.#pass()
      this.#writeLetters()
      this.#timers.advance(2000)
      await this.#microtasks()
      if (this.faults.length > 0) throw this.faults[0]
    }
    if (startOffset() !== logEndOffset) throw new Error(`records are left: ${startOffset()} of ${logEndOffset}`)
    for (const [offset, record] of this.#records.entries()) {
      if (offset < logStartOffset || record.isNoMatter) continue
      const isHidden = record.isAborted && this.#settings.isReadCommitted
      if (!isHidden && record.deliveries === 0) throw new Error(`${offset} came to nobody`)
      const isKept = record.isRejected && this.#settings.keepsDeadLetters
      if (isKept && !record.hasLetter) throw new Error(`${offset} has no dead letter`)
    }
  }
}
