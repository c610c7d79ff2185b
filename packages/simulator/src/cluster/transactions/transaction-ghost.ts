import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'

/** One producer under a transactional id, from when it asks for an identity. Times in virtual ms. */
export interface GhostLife {
  readonly transactionalId: string
  readonly askedMs: number
  /** Infinity: it has none yet. */
  identifiedMs: number
  /** Until when a request for an identity may still reach a coordinator, though nobody waits for its answer any more. */
  lateUntilMs: number
}

/** A record that was handed to a producer. */
export interface GhostRecord {
  readonly transaction: GhostTransaction
  readonly slot: number
  readonly topic: string
  readonly partition: number
  readonly value: string
  readonly handedInMs: number
  /** Its producer was told that it is stored. */
  isStored: boolean
}

/**
 * What its client asked for and was told. `committing`: a commit was asked for, and nobody knows yet what came of it; `aborting`: the last
 * that was asked for, and certainly done, is not to commit it.
 */
type GhostOutcome = 'open' | 'committing' | 'committed' | 'aborting' | 'aborted'

export interface GhostTransaction {
  /** Over all of a run, in the order in which they began. */
  readonly ordinal: number
  readonly life: GhostLife
  readonly beganMs: number
  readonly timeoutMs: number
  readonly records: GhostRecord[]
  outcome: GhostOutcome
  /** Infinity: nobody asked. */
  commitAskedMs: number
  /** Infinity: nobody was told. */
  committedMs: number
  /** Somebody saw something of it that only a commit shows. */
  isSeen: boolean
}

/** What one reader was given of a partition, from where it began. */
export interface Reading {
  readonly topic: string
  readonly partition: number
  readonly isCommittedOnly: boolean
  readonly startOffset: number
  readonly offsets: number[]
  /** Where it goes on. */
  nextOffset: number
}

/** Contents of a partition as one kind of reader finds them: value by offset, rising. */
export type Contents = ReadonlyMap<number, string>

/** A transaction may be timed out so much before its time is over by our clock: brokers have whole milliseconds. */
const ROUNDING_MS = 5
/** A request may come to a node that was stopped so long after nobody waits for its answer any more. */
const LATE_REQUEST_MS = 15_000

/**
 * Transactions as their clients and readers know them. All of a transaction is visible to those who read committed records, or nothing (T1);
 * nothing of one that was aborted, whose commit was not asked for, or before it was (T2); a producer whose successor has its identity
 * writes nothing more and commits nothing (T3). What became of a commit that nobody heard of is open, but it is one of the two.
 */
export class TransactionGhost {
  readonly #world: World
  readonly #lives = new Map<string, GhostLife[]>()
  readonly #transactions: GhostTransaction[] = []
  readonly #records = new Map<string, GhostRecord>()
  /** By partition, value by offset and offset by value, as anybody was told: never changes. */
  readonly #places = new Map<string, { readonly values: Map<number, string>; readonly offsets: Map<string, number> }>()
  /** Those of which nothing but records was heard. */
  readonly #open = new Set<GhostTransaction>()
  readonly #readings: Reading[] = []
  /** Values that the last reading of all found visible. */
  readonly #visible = new Set<string>()

  constructor(world: World) {
    this.#world = world
  }

  get transactionalIds(): string[] {
    return [...this.#lives.keys()]
  }

  /** A producer asks for its identity; set `identifiedMs` once it has it. */
  onIdentityAsked(transactionalId: string): GhostLife {
    const never = Number.POSITIVE_INFINITY
    const life: GhostLife = { transactionalId, askedMs: this.#world.nowMs, identifiedMs: never, lateUntilMs: never }
    const lives = this.#lives.get(transactionalId)
    if (lives === undefined) this.#lives.set(transactionalId, [life])
    else lives.push(life)
    return life
  }

  onIdentified(life: GhostLife): void {
    life.identifiedMs = this.#world.nowMs
    if (life.lateUntilMs === Number.POSITIVE_INFINITY) life.lateUntilMs = this.#world.nowMs
    this.#tell(`${life.transactionalId} has a new producer`)
  }

  begin(life: GhostLife, timeoutMs: number): GhostTransaction {
    const transaction: GhostTransaction = {
      ordinal: this.#transactions.length,
      life,
      beganMs: this.#world.nowMs,
      timeoutMs,
      records: [],
      outcome: 'open',
      commitAskedMs: Number.POSITIVE_INFINITY,
      committedMs: Number.POSITIVE_INFINITY,
      isSeen: false,
    }
    this.#transactions.push(transaction)
    this.#open.add(transaction)
    this.#tell(`transaction ${transaction.ordinal} of ${life.transactionalId} begins, for ${timeoutMs} ms`)
    return transaction
  }

  /** A record is handed in, with the value that this gives it. `note`: part of the value, at its end. */
  onSend(transaction: GhostTransaction, topic: string, partition: number, note = ''): GhostRecord {
    const slot = transaction.records.length
    const value = `${transaction.ordinal}.${slot}${note === '' ? '' : ` ${note}`}`
    const handedInMs = this.#world.nowMs
    const record: GhostRecord = { transaction, slot, topic, partition, value, handedInMs, isStored: false }
    transaction.records.push(record)
    this.#records.set(value, record)
    return record
  }

  /** Its producer was told that the record is stored; `offset` -1: nobody knows where. */
  onStored(record: GhostRecord, offset: number): void {
    record.isStored = true
    this.#checkFenced(record, 'is acknowledged')
    if (offset >= 0) this.#note(record, offset, 'acknowledged')
  }

  onCommitting(transaction: GhostTransaction): void {
    transaction.outcome = 'committing'
    this.#tell(`transaction ${transaction.ordinal} is to be committed`)
    transaction.commitAskedMs = Math.min(transaction.commitAskedMs, this.#world.nowMs)
    this.#open.delete(transaction)
  }

  onCommitted(transaction: GhostTransaction): void {
    const { life, commitAskedMs, ordinal } = transaction
    const fencedMs = this.fencedMs(life)
    this.#world.judge('T3')
    must(commitAskedMs <= fencedMs, 'T3', () => {
      return `transaction ${ordinal} of ${life.transactionalId} was to be committed at ${commitAskedMs} ms and was, its producer was fenced at ${fencedMs} ms`
    })
    transaction.outcome = 'committed'
    this.#tell(`transaction ${transaction.ordinal} is committed`)
    transaction.committedMs = this.#world.nowMs
  }

  onAborting(transaction: GhostTransaction): void {
    must(!transaction.isSeen, 'T2', () => `transaction ${transaction.ordinal} can be aborted, and was seen`)
    transaction.outcome = 'aborting'
    this.#tell(`transaction ${transaction.ordinal} is to be aborted`)
    this.#open.delete(transaction)
  }

  onAborted(transaction: GhostTransaction): void {
    transaction.outcome = 'aborted'
    this.#tell(`transaction ${transaction.ordinal} is aborted`)
  }

  /** Since when a producer that asked after it has its identity, by which this one is fenced; Infinity: there is none. */
  fencedMs(life: GhostLife): number {
    let fencedMs = Number.POSITIVE_INFINITY
    for (const other of this.#lives.get(life.transactionalId) ?? []) {
      if (other.askedMs > life.identifiedMs) fencedMs = Math.min(fencedMs, other.identifiedMs)
    }
    return fencedMs
  }

  /** It gave up waiting for an answer that would give it an identity, or another epoch: it may ask again. */
  onIdentityNotHeard(life: GhostLife): void {
    life.lateUntilMs = this.#world.nowMs + LATE_REQUEST_MS
  }

  /**
   * Whether somebody may have taken over: another producer got the id's identity later or asks for it, or a request for it that was given up
   * may have come late, be it of the same producer.
   */
  isSucceeded(life: GhostLife): boolean {
    return (this.#lives.get(life.transactionalId) ?? []).some((other) => {
      return other.lateUntilMs > this.#world.nowMs || isLater(other.identifiedMs, life.identifiedMs)
    })
  }

  /**
   * Where the oldest transaction begins that is certainly open in a partition: no end was asked for, no other producer asked for its id, its
   * time is not over. Infinity: there is none. Nobody who reads committed records may get further.
   */
  firstOpenOffset(topic: string, partition: number): number {
    let first = Number.POSITIVE_INFINITY
    const { nowMs } = this.#world
    for (const transaction of this.#open) {
      if (nowMs >= transaction.beganMs + transaction.timeoutMs - ROUNDING_MS || this.isSucceeded(transaction.life)) {
        this.#open.delete(transaction)
        continue
      }
      for (const record of transaction.records) {
        if (!record.isStored || record.topic !== topic || record.partition !== partition) continue
        first = Math.min(first, this.#offsetOf(record) ?? Number.POSITIVE_INFINITY)
      }
    }
    return first
  }

  openReading(topic: string, partition: number, startOffset: number, isCommittedOnly: boolean): Reading {
    const reading = { topic, partition, isCommittedOnly, startOffset, offsets: [], nextOffset: startOffset }
    this.#readings.push(reading)
    return reading
  }

  /** A reader was given a record. */
  onRead({ topic, partition, isCommittedOnly, offsets }: Reading, offset: number, value: string): void {
    const record = this.#records.get(value)
    must(record !== undefined && record.topic === topic && record.partition === partition, 'S2', () => {
      return `${topic}-${partition} has "${value}" at ${offset}, which nobody sent there`
    })
    this.#checkFenced(record, 'is read')
    this.#note(record, offset, 'read')
    must(
      offset > (offsets.at(-1) ?? -1),
      'R3',
      () => `${topic}-${partition}: ${offset} is read after ${offsets.at(-1)}`,
    )
    offsets.push(offset)
    if (isCommittedOnly) this.onSeen(record.transaction, `"${value}" of ${topic}-${partition}`)
  }

  /** Something of it was seen that only its commit shows. */
  onSeen(transaction: GhostTransaction, what: string): void {
    const { outcome, ordinal } = transaction
    this.#world.judge('T2')
    must(outcome === 'committing' || outcome === 'committed', 'T2', () => {
      return `${what} is visible, transaction ${ordinal} of ${transaction.life.transactionalId} is ${outcome}`
    })
    transaction.isSeen = true
  }

  /** A partition was read to its end, once nothing happens any more: by who reads committed records, and by who reads all. */
  checkPartition(topic: string, partition: number, committed: Contents, stored: Contents): void {
    for (const [offset, value] of committed) {
      must(stored.get(offset) === value, 'T2', () => {
        return `${topic}-${partition}: "${value}" at ${offset} is visible, and "${stored.get(offset)}" is stored`
      })
      this.#visible.add(value)
    }
    this.#checkOrder(topic, partition, stored)
    for (const reading of this.#readings) {
      if (reading.topic !== topic || reading.partition !== partition) continue
      this.#checkReading(reading, reading.isCommittedOnly ? committed : stored)
    }
  }

  /** After all partitions: each transaction is there as a whole, or not at all. */
  checkOutcomes(): void {
    for (const transaction of this.#transactions) this.#checkOutcome(transaction)
  }

  #checkOutcome({ ordinal, life, records, outcome, isSeen }: GhostTransaction): void {
    const lacking = records.filter(({ value }) => !this.#visible.has(value))
    const what = `transaction ${ordinal} of ${life.transactionalId}, which is ${outcome}`
    this.#world.judge('T1')
    if (outcome === 'committed') {
      must(lacking.length === 0, 'T1', () => `${what}, lacks ${namesOf(lacking)}`)
      return
    }
    if (outcome !== 'committing') {
      must(lacking.length === records.length, 'T2', () => `${what}, is visible but for ${namesOf(lacking)}`)
      return
    }
    if (records.length === 0) return
    const isVisible = lacking.length === 0
    must(isVisible || lacking.length === records.length, 'T1', () => `${what}, is visible but for ${namesOf(lacking)}`)
    must(isVisible || !isSeen, 'T1', () => `${what}, was seen and is not there`)
    this.#world.mark(isVisible ? 'commit of unknown outcome took effect' : 'commit of unknown outcome had no effect')
  }

  /** What one producer sent stands in the order in which it sent it, transaction after transaction. */
  #checkOrder(topic: string, partition: number, stored: Contents): void {
    const last = new Map<GhostLife, GhostRecord>()
    for (const [offset, value] of stored) {
      const record = this.#records.get(value)
      must(record !== undefined, 'S2', () => `${topic}-${partition} has "${value}" at ${offset}, which nobody sent`)
      this.#checkFenced(record, 'is stored')
      const { transaction, slot } = record
      const before = last.get(transaction.life)
      this.#world.judge('R14')
      const isLater =
        before === undefined ||
        transaction.ordinal > before.transaction.ordinal ||
        (transaction === before.transaction && slot > before.slot)
      must(isLater, 'R14', () => `${topic}-${partition}: "${value}" stands after "${before?.value}"`)
      last.set(transaction.life, record)
    }
  }

  /** A reader was given all that there is between where it began and where it came to, and nothing else. */
  #checkReading({ topic, partition, startOffset, nextOffset, offsets, isCommittedOnly }: Reading, all: Contents): void {
    const expected = [...all.keys()].filter((offset) => offset >= startOffset && offset < nextOffset)
    const invariant = isCommittedOnly ? 'T1' : 'R3'
    this.#world.judge(invariant)
    const slot = expected.findIndex((offset, index) => offsets[index] !== offset)
    must(slot < 0 && offsets.length === expected.length, invariant, () => {
      const at = slot < 0 ? expected.length : slot
      return `a reader of ${topic}-${partition} from ${startOffset} to ${nextOffset} was given ${offsets[at] ?? 'nothing'} in the place of ${expected[at] ?? 'nothing'}`
    })
  }

  #checkFenced({ transaction, handedInMs, value, topic, partition }: GhostRecord, how: string): void {
    this.#world.judge('T3')
    const fencedMs = this.fencedMs(transaction.life)
    must(handedInMs <= fencedMs, 'T3', () => {
      return `"${value}" of ${topic}-${partition} ${how}; it was sent at ${handedInMs} ms, its producer was fenced at ${fencedMs} ms`
    })
  }

  #tell(what: string): void {
    this.#world.trace?.(this.#world.nowMs, -1, what)
  }

  #offsetOf({ topic, partition, value }: GhostRecord): number | undefined {
    return this.#places.get(`${topic}-${partition}`)?.offsets.get(value)
  }

  #note({ topic, partition, value }: GhostRecord, offset: number, how: string): void {
    const place = `${topic}-${partition}`
    let known = this.#places.get(place)
    if (known === undefined) {
      known = { values: new Map(), offsets: new Map() }
      this.#places.set(place, known)
    }
    const at = known.values.get(offset)
    this.#world.judge('R3')
    must(
      at === undefined || at === value,
      'R3',
      () => `offset ${offset} of ${place} was "${at}", and "${value}" is ${how} there`,
    )
    const other = known.offsets.get(value)
    this.#world.judge('R14')
    must(other === undefined || other === offset, 'R14', () => `"${value}" is at ${other} and at ${offset} of ${place}`)
    known.values.set(offset, value)
    known.offsets.set(value, offset)
  }
}

/** Of two moments the first is known to be after the second. */
function isLater(oneMs: number, otherMs: number): boolean {
  return oneMs < Number.POSITIVE_INFINITY && oneMs > otherMs
}

function namesOf(records: readonly GhostRecord[]): string {
  return records.map(({ topic, partition, value }) => `"${value}" of ${topic}-${partition}`).join(', ')
}
