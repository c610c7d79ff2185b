import { SeededRandom } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { imageOf } from './coordinator-fixture.ts'
import { GROUP, GroupDriver, topicId } from './group-driver.ts'
import { ClassicConsumer, LateCommit, NewConsumer, type SimulatedConsumer, WORLD_TOPIC } from './simulated-consumer.ts'

/** Of both kinds together. */
const MAX_CONSUMERS = 6
const MAX_PARTITIONS = 12

/**
 * Consumers of both protocols in one group, in a seeded world: they come, go, hesitate, lose answers and fall silent; writes fail,
 * coordinators fail over to others that have what was committed, and the topic grows. After every step it is checked that no two of those
 * that the group knows work on the same partition (G1), that no late commit undoes another's (G3), and that what is in memory is what the
 * log says.
 */
export class ConsumerWorld {
  readonly #random: SeededRandom
  #driver: GroupDriver
  #consumers: SimulatedConsumer[] = []
  readonly #commits = new WeakMap<SimulatedConsumer, LateCommit>()
  /** Who sleeps, and for how many steps more: then it goes on as if nothing had been. */
  readonly #asleep = new Map<SimulatedConsumer, number>()
  /** Whoever works on a partition later is further. */
  #nextOffset = 1
  /** By partition: what was committed last. */
  readonly #committed = new Map<number, number>()
  #partitionCount = 4
  #nextName = 1
  /** Instance ids of static members that are not there. */
  readonly #away: string[] = []
  #hasFaults = true

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    this.#driver = new GroupDriver({
      groupInitialRebalanceDelayMs: 100,
      groupConsumerAssignmentIntervalMs: this.#random.uint32() % 2 === 0 ? 0 : 1000,
      groupConsumerAssignors: this.#random.uint32() % 2 === 0 ? ['uniform'] : ['range'],
    })
    this.#driver.image = imageOf([WORLD_TOPIC], this.#partitionCount)
  }

  run(stepCount: number): void {
    for (let step = 0; step < stepCount; step++) {
      this.#step()
      this.#check()
    }
    this.#hasFaults = false
    this.#comeToRest()
  }

  #chance(percent: number): boolean {
    return this.#random.uint32() % 100 < percent
  }

  #step(): void {
    this.#driver.advance(this.#random.uint32() % 2000)
    if (this.#consumers.length < MAX_CONSUMERS && this.#chance(8)) this.#add()
    if (this.#chance(3)) this.#remove()
    if (this.#chance(2)) this.#failOver()
    if (this.#partitionCount < MAX_PARTITIONS && this.#chance(2)) {
      this.#partitionCount++
      this.#driver.image = imageOf([WORLD_TOPIC], this.#partitionCount)
    }
    for (const consumer of this.#consumers) {
      // Now and then one hangs, and sometimes for longer than its session.
      if (this.#sleeps(consumer) || !this.#chance(85)) continue
      const fails = this.#chance(4)
      // What is not written is not answered.
      this.#driver.holdsWrites = fails
      consumer.act(this.#driver, fails || this.#chance(4))
      if (this.#chance(50)) this.#commit(consumer)
      if (!fails) continue
      this.#driver.settle(ErrorCode.KAFKA_STORAGE_ERROR)
      this.#driver.holdsWrites = false
    }
  }

  #sleeps(consumer: SimulatedConsumer): boolean {
    const steps = this.#asleep.get(consumer) ?? (this.#chance(1) ? 20 + (this.#random.uint32() % 60) : 0)
    if (steps === 0) return false
    if (steps > 1) {
      this.#asleep.set(consumer, steps - 1)
      return true
    }
    this.#asleep.delete(consumer)
    this.#commit(consumer)
    return false
  }

  #commit(consumer: SimulatedConsumer): void {
    let commit = this.#commits.get(consumer)
    if (commit === undefined) {
      commit = new LateCommit()
      this.#commits.set(consumer, commit)
    }
    commit.act(consumer, this.#driver, this.#nextOffset++)
  }

  /** Nobody's late commit undoes what another has done since (G3). */
  #checkOffsets(): void {
    const partitions = Array.from({ length: this.#partitionCount }, (_, partition) => partition)
    const wanted = [{ topic: WORLD_TOPIC, topicId: topicId(WORLD_TOPIC), partitions }]
    for (const { partition, committedOffset } of this.#driver.machine.fetch(GROUP, wanted, false)[0]!.partitions) {
      const before = this.#committed.get(partition) ?? -1
      if (committedOffset < before) throw new Error(`offset of ${partition} went from ${before} to ${committedOffset}`)
      this.#committed.set(partition, committedOffset)
    }
  }

  #add(): void {
    const name = `member-${this.#nextName++}`
    if (this.#chance(50)) {
      this.#consumers.push(new ClassicConsumer(() => this.#partitionCount))
      return
    }
    // A static one that went may come back, under another id.
    const instanceId = this.#away.pop() ?? (this.#chance(25) ? `instance-${this.#nextName}` : null)
    this.#consumers.push(new NewConsumer(name, instanceId, () => this.#hasFaults && this.#chance(40)))
  }

  /** It leaves, or is gone without a word. */
  #remove(): void {
    const consumer = this.#consumers[this.#random.uint32() % Math.max(this.#consumers.length, 1)]
    if (consumer === undefined) return
    this.#consumers = this.#consumers.filter((each) => each !== consumer)
    if (this.#chance(60)) consumer.leave(this.#driver)
    if (consumer instanceof NewConsumer && consumer.instanceId !== null) this.#away.push(consumer.instanceId)
  }

  #failOver(): void {
    this.#driver = this.#driver.reload()
    for (const consumer of this.#consumers) consumer.onFailover()
  }

  /** Who is in the group, with the epoch that it is in there. */
  #members(): Map<string, number> {
    const group = this.#driver.consumerGroup
    if (group !== null) return new Map(group.members.map(({ member }) => [member.memberId, member.memberEpoch]))
    return new Map(this.#driver.group.members.map(({ memberId }) => [memberId, Number.POSITIVE_INFINITY]))
  }

  #check(): void {
    const members = this.#members()
    const owners = new Map<number, string>()
    for (const { memberId, epoch, owned } of this.#consumers) {
      const known = members.get(memberId)
      // It was removed, perhaps while it was away, and has not heard of it yet.
      if (known === undefined || epoch > known) continue
      for (const partition of owned) {
        const owner = owners.get(partition)
        if (owner !== undefined) throw new Error(`partition ${partition} is ${owner}'s and ${memberId}'s`)
        owners.set(partition, memberId)
      }
    }
    const { usage } = this.#driver.limits
    if (usage.bytes < 0 || usage.members < 0) throw new Error('more is counted as gone than there was')
    this.#checkOffsets()
    this.#checkLog()
  }

  #checkLog(): void {
    const group = this.#driver.consumerGroup
    if (group === null) return
    const loaded = this.#driver.reload().consumerGroup
    if (JSON.stringify(loaded, plain) !== JSON.stringify(group, plain)) throw new Error('the log says something else')
  }

  #comeToRest(): void {
    this.#asleep.clear()
    for (const consumer of this.#consumers) consumer.onFailover()
    for (let second = 0; second < 240; second++) {
      this.#driver.advance(1000)
      for (const consumer of this.#consumers) consumer.act(this.#driver, false)
      this.#check()
    }
    if (this.#consumers.length === 0) return
    const owned = this.#consumers.flatMap((consumer) => [...consumer.owned]).sort((left, right) => left - right)
    const all = Array.from({ length: this.#partitionCount }, (_, partition) => partition)
    if (JSON.stringify(owned) !== JSON.stringify(all)) {
      throw new Error(`at rest ${owned} of ${all.length} partitions are worked on in ${GROUP}`)
    }
    const state = this.#driver.consumerGroup?.state ?? this.#driver.state
    if (state !== 'Stable') throw new Error(`at rest the group is ${state}`)
  }
}

/** Maps in order of their keys, members in that of their ids, so that texts can be compared. */
function plain(_key: string, value: unknown): unknown {
  if (value instanceof Map) return [...value].sort()
  if (!Array.isArray(value)) return Buffer.isBuffer(value) ? value.toString('hex') : value
  return value.every((each) => typeof each === 'object' && each !== null && 'member' in each)
    ? [...value].sort((left, right) => (left.member.memberId < right.member.memberId ? -1 : 1))
    : value
}
