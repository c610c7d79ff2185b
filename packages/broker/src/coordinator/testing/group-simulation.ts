import { type Random, SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createOffsetFetchRequest,
  createOffsetFetchRequestGroup,
  createOffsetFetchRequestTopics,
  ErrorCode,
} from '@millrace/protocol'
import { GroupCoordinator } from '../group/group-coordinator.ts'
import { contextOf } from './coordinator-fixture.ts'
import { FakeCoordinatorLog } from './fake-coordinator-log.ts'
import { GroupChecker } from './group-checker.ts'
import { TEST_CONFIG } from './group-driver.ts'
import { ManualTurn } from './manual-turn.ts'
import { NO_SHARES } from './no-shares.ts'
import { RecordingLogger } from './recording-logger.ts'
import {
  REBALANCE_TIMEOUT_MS,
  SESSION_TIMEOUT_MS,
  SIMULATED_GROUP,
  SIMULATED_PARTITIONS,
  SimulatedMember,
  type SimulatedWorld,
} from './simulated-member.ts'

const APPEND_ERRORS = [
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.MESSAGE_TOO_LARGE,
]

/**
 * Consumers, a coordinator and its log in one seeded world. Faults: appends that fail, a high watermark that lags, a coordinator that
 * dies and comes back on what was committed or hands its log over, consumers that vanish, connections that break, time that jumps.
 * The checker hears of everything that clients are told.
 */
export class GroupSimulation implements SimulatedWorld {
  readonly checker = new GroupChecker()
  readonly faults: unknown[] = []
  groups: GroupCoordinator
  members: SimulatedMember[] = []
  readonly #clock = new SimulatedClock()
  readonly #timers = new SimulatedTimers(this.#clock)
  readonly #random: Random
  readonly #image: MetadataImage
  #turn = new ManualTurn()
  #log = new FakeCoordinatorLog()
  #offset = 0
  #memberCount = 0

  constructor(seed: number, image: MetadataImage) {
    this.#random = new SeededRandom(seed)
    this.#image = image
    this.groups = this.#createCoordinator()
  }

  nextOffset(): number {
    return ++this.#offset
  }

  async run(stepCount: number): Promise<void> {
    await this.#elect()
    for (let slot = 0; slot < 3; slot++) this.#addMember()
    for (let step = 0; step < stepCount; step++) {
      await this.#step()
      await settleMicrotasks()
      if (this.faults.length > 0) throw this.faults[0]
    }
    await this.#converge()
  }

  async #step(): Promise<void> {
    const die = this.#random.uint32() % 100
    const member = this.members[this.#random.uint32() % Math.max(this.members.length, 1)]
    if (die < 35) member?.act()
    else if (die < 50) member?.commit()
    else if (die < 53) member?.commitStale()
    else if (die < 55) member?.leave()
    else if (die < 57) this.#addMember()
    else if (die < 59) this.#removeMember(member)
    else if (die < 61) member?.disconnect()
    else if (die < 72) this.#turn.end()
    else if (die < 80) this.#log.commit()
    else if (die < 83) this.#log.commit(this.#log.highWatermark + (this.#random.uint32() % 4))
    else if (die < 92) this.#timers.advance(this.#random.uint32() % (die < 90 ? 1000 : SESSION_TIMEOUT_MS))
    else if (die < 94) this.#log.appendError = APPEND_ERRORS[this.#random.uint32() % APPEND_ERRORS.length]!
    else if (die < 96) this.#log.appendError = 0
    else if (die < 98) await this.#fetch(this.#random.uint32() % 2 === 0)
    else await this.#failOver(this.#random.uint32() % 3 > 0)
  }

  #addMember(): void {
    if (this.members.length >= 6) return
    const name = `m${this.#memberCount++}`
    const instance = this.#random.uint32() % 2 === 0 ? `instance ${this.#random.uint32() % 3}` : null
    const taken = instance !== null && this.members.some((member) => member.groupInstanceId === instance)
    this.members.push(new SimulatedMember(name, taken ? null : instance, this))
  }

  /** Half of those that go vanish without a word; a static one may be back later under its instance id. */
  #removeMember(member: SimulatedMember | undefined): void {
    if (member === undefined || this.members.length < 2) return
    if (this.#random.uint32() % 2 === 0) member.leave()
    member.disconnect()
    this.members = this.members.filter((other) => other !== member)
  }

  /**
   * Dies with what is not committed lost, or hands the log over to a node that has all of it, of which it does not know at first that all
   * of it was committed and acknowledged.
   */
  async #failOver(isCrash: boolean): Promise<void> {
    const old = this.#log
    const knownHighWatermark = old.highWatermark
    if (!isCrash) old.commit()
    const before = await this.#committedOffsets()
    this.groups.shutdown()
    for (const member of this.members) member.disconnect()
    this.#turn = new ManualTurn()
    this.#log = isCrash ? old.crash() : old
    this.groups = this.#createCoordinator()
    if (!isCrash) old.highWatermark = knownHighWatermark
    await this.#elect()
    this.#log.commit()
    const after = await this.#committedOffsets()
    if (JSON.stringify(before) !== JSON.stringify(after)) {
      throw new Error(`committed offsets were ${JSON.stringify(before)} and are ${JSON.stringify(after)} after a load`)
    }
  }

  async #elect(): Promise<void> {
    this.#log.appendError = 0
    this.groups.startup()
    await this.groups.onElection(0, this.#log)
  }

  #createCoordinator(): GroupCoordinator {
    const turn = this.#turn
    return new GroupCoordinator({
      ...NO_SHARES,
      // Without scans: a group that expires begins again at generation 1.
      config: { ...TEST_CONFIG, offsetsTopicNumPartitions: 1, groupMaxSize: 5, offsetsRetentionCheckIntervalMs: 1e9 },
      clock: this.#clock,
      timers: this.#timers,
      random: this.#random,
      logger: new RecordingLogger(),
      metadata: () => this.#image,
      enqueueEndOfTurn: turn.enqueue,
      nextTurn: () => Promise.resolve(),
      onFault: (error) => this.faults.push(error),
    })
  }

  async #fetch(requireStable: boolean): Promise<void> {
    const floors = Array.from({ length: SIMULATED_PARTITIONS }, (_, partition) => this.checker.acknowledged(partition))
    const answer = this.#fetchOffsets(requireStable)
    this.#turn.end()
    this.#log.commit()
    await settleMicrotasks()
    const group = await answer
    if (group === null) return
    for (const [partition, offset] of group.entries()) this.checker.onFetched(partition, offset, floors[partition]!)
  }

  async #committedOffsets(): Promise<number[] | null> {
    return this.#fetchOffsets(false)
  }

  async #fetchOffsets(requireStable: boolean): Promise<number[] | null> {
    const partitionIndexes = Array.from({ length: SIMULATED_PARTITIONS }, (_, partition) => partition)
    const topics = [createOffsetFetchRequestTopics({ name: 'topic', partitionIndexes })]
    const groups = [createOffsetFetchRequestGroup({ groupId: SIMULATED_GROUP, topics })]
    const answer = await this.groups.offsets.fetch(createOffsetFetchRequest({ groups, requireStable }), contextOf(9, 9))
    const group = answer.groups[0]!
    if (group.errorCode !== 0) return null
    return group.topics[0]!.partitions.map((partition) => partition.committedOffset as number)
  }

  /** Faults stop; then the group must come to rest with all members and all partitions (G6), and each request be answered. */
  async #converge(): Promise<void> {
    this.#log.appendError = 0
    const limitMs = 4 * (SESSION_TIMEOUT_MS + REBALANCE_TIMEOUT_MS)
    for (let elapsedMs = 0; elapsedMs < limitMs; elapsedMs += 500) {
      for (const member of this.members) member.act()
      for (let round = 0; round < 3; round++) {
        this.#turn.end()
        this.#log.commit()
        await settleMicrotasks()
      }
      this.#timers.advance(500)
    }
    await settleMicrotasks()
    if (this.faults.length > 0) throw this.faults[0]
    const owned = this.members.flatMap((member) => member.assignment ?? []).sort((left, right) => left - right)
    const wanted = Array.from({ length: SIMULATED_PARTITIONS }, (_, partition) => partition)
    if (JSON.stringify(owned) !== JSON.stringify(wanted))
      throw new Error(`in the end ${JSON.stringify(owned)} are owned`)
    await this.#fetch(true)
    this.groups.shutdown()
    await settleMicrotasks()
    const waiting = this.members.filter((member) => member.isBusy)
    if (waiting.length > 0) throw new Error(`${waiting.length} requests were never answered`)
    if (this.#timers.pendingCount > 0) throw new Error('a coordinator that was shut down left timers behind')
  }
}

/** Lets every promise that can settle do so. */
function settleMicrotasks(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
