import { partitionKey, type TopicPartition } from '../cluster/topic-partition.ts'
import { StateError } from '../errors/client-errors.ts'
import type { Acknowledgements, AcknowledgeType } from './acknowledgements.ts'
import type { ShareRecord } from './share-record.ts'
import type { SharePartition } from './share-session.ts'
import type { ShareSource } from './share-source.ts'

/** A record that was acquired: where from, and under which session. */
export interface AcquiredRecord {
  record: ShareRecord
  place: SharePartition
  source: ShareSource
  sessionOrdinal: number
  /** From then on, in monotonic milliseconds, it may be someone else's. */
  lockedUntilMs: number
}

interface Held extends AcquiredRecord {
  /** What the application said of it, null if nothing yet. */
  type: AcknowledgeType | null
  /** A renewal of its lock is on its way. */
  isRenewing: boolean
  /** It was renewed, and has to be handed out again. */
  isBack: boolean
  /** An iteration has not come to it, or not beyond it. */
  isAhead: boolean
}

/** The records that were handed out and not acknowledged, or whose locks are being renewed. */
export class ShareHoldings {
  readonly #partitions = new Map<string, Map<number, Held>>()

  /** Hands out. */
  take(acquired: readonly AcquiredRecord[]): void {
    for (const one of acquired) {
      const key = partitionKey(one.place.topic, one.place.partition)
      let held = this.#partitions.get(key)
      if (held === undefined) {
        held = new Map()
        this.#partitions.set(key, held)
      }
      held.set(Number(one.record.offset), { ...one, type: null, isRenewing: false, isBack: false, isAhead: false })
    }
  }

  /** Says what became of a record. Throws {@link StateError} if it is not in hand. */
  acknowledge({ topic, partition, offset }: TopicPartition & { offset: bigint | number }, type: AcknowledgeType): void {
    const held = this.#partitions.get(partitionKey(topic, partition))?.get(Number(offset))
    if (held === undefined || held.isRenewing) {
      throw new StateError(`record ${offset} of ${topic}-${partition} is not in hand: it was acknowledged, or lost`)
    }
    held.type = type
    held.isBack = false
  }

  /** An iteration will come to these one by one. */
  setAhead(records: readonly ShareRecord[]): void {
    for (const { topic, partition, offset } of records) {
      const held = this.#partitions.get(partitionKey(topic, partition))?.get(Number(offset))
      if (held !== undefined) held.isAhead = true
    }
  }

  /** Says it of a record if it is in hand and nothing was said of it. */
  settle({ topic, partition, offset }: ShareRecord, type: AcknowledgeType): void {
    const held = this.#partitions.get(partitionKey(topic, partition))?.get(Number(offset))
    if (held !== undefined) held.type ??= type
  }

  /** Says of all that are not ahead of an iteration, and of which nothing was said, that they are accepted. */
  acceptRest(): void {
    for (const held of this.#all()) {
      if (held.type === null && !held.isRenewing && !held.isAhead) held.type = 'accept'
    }
  }

  /** Whether something is in hand of which the application has said nothing. */
  get hasUnsaid(): boolean {
    return this.#all().some(({ type, isRenewing, isBack }) => type === null && !isRenewing && !isBack)
  }

  get isRenewing(): boolean {
    return this.#all().some((held) => held.isRenewing)
  }

  /** Gives what was said to the sources that will send it; renewed records stay in hand. */
  submit(): void {
    for (const held of this.#all()) {
      const { place, source, sessionOrdinal, type, record } = held
      if (type === null) continue
      if (type === 'renew') {
        held.isRenewing = true
        held.type = null
      } else {
        this.#remove(held)
      }
      source.acknowledge(place, Number(record.offset), type, sessionOrdinal)
    }
  }

  /** Acknowledgements were answered: renewals that were taken will be handed out again. */
  onAcknowledged({ topic, partition }: TopicPartition, acknowledgements: Acknowledgements, error: unknown): void {
    const partitionHeld = this.#partitions.get(partitionKey(topic, partition))
    for (const held of [...(partitionHeld?.values() ?? [])]) {
      if (!held.isRenewing || acknowledgements.typeOf(Number(held.record.offset)) !== 'renew') continue
      held.isRenewing = false
      if (error === null) held.isBack = true
      else this.#remove(held)
    }
  }

  /** Records whose locks were renewed since the last call: in hand again. */
  takeRenewed(): ShareRecord[] {
    const renewed = this.#all().filter(({ isBack }) => isBack)
    for (const held of renewed) held.isBack = false
    return renewed.map(({ record }) => record)
  }

  clear(): void {
    this.#partitions.clear()
  }

  #all(): Held[] {
    return [...this.#partitions.values()].flatMap((held) => [...held.values()])
  }

  #remove({ place, record }: Held): void {
    const key = partitionKey(place.topic, place.partition)
    const held = this.#partitions.get(key)
    held?.delete(Number(record.offset))
    if (held?.size === 0) this.#partitions.delete(key)
  }
}
