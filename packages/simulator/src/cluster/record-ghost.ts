import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** What is known of one partition's records from what clients were told. */
interface PartitionGhost {
  /** Value by offset, as any consumer or acknowledgement has it: never changes (R3). */
  readonly values: Map<number, string>
  /** Offset by value: a record is stored once (R14). */
  readonly offsets: Map<string, number>
  readonly acked: Map<number, string>
  /** Acknowledged as stored earlier, at an offset that the broker has forgotten. */
  readonly ackedUnplaced: Set<string>
  /** Values whose producer was not told what became of them. */
  readonly unknown: Set<string>
}

/**
 * Records as clients saw them: acknowledged ones, with their offsets, and those that consumers got. What was acknowledged must be there for
 * ever (R4, R5), what was read must never change (R3), and nothing may be there twice (R14) or be made up (S2).
 */
export class RecordGhost {
  readonly #world: World
  readonly #partitions = new Map<number, PartitionGhost>()
  /** Values that were ever sent, and whether they certainly were not stored. */
  readonly #sent = new Set<string>()

  constructor(world: World) {
    this.#world = world
  }

  get ackedCount(): number {
    let count = 0
    for (const { acked, ackedUnplaced } of this.#partitions.values()) count += acked.size + ackedUnplaced.size
    return count
  }

  onSend(value: string): void {
    this.#sent.add(value)
  }

  onAcked(partition: number, offset: number, value: string): void {
    this.#world.judge('R13')
    const ghost = this.#ghostOf(partition)
    this.#note(partition, ghost, offset, value, 'acknowledged')
    const known = ghost.acked.get(offset)
    must(
      known === undefined || known === value,
      'R13',
      () => `offset ${offset} of partition ${partition} was given twice`,
    )
    ghost.acked.set(offset, value)
  }

  /** It is stored, says the broker or what it answered to others of the same producer, and nobody knows where. */
  onAckedUnplaced(partition: number, value: string): void {
    this.#world.mark('acknowledged without an offset')
    this.#ghostOf(partition).ackedUnplaced.add(value)
  }

  /** Its producer gave it up: it is stored once or not at all. */
  onUnknown(partition: number, value: string): void {
    this.#ghostOf(partition).unknown.add(value)
  }

  onConsumed(partition: number, offset: number, value: string): void {
    this.#world.judge('R3')
    must(this.#sent.has(value), 'S2', () => `partition ${partition} has "${value}" at ${offset}, which nobody sent`)
    this.#note(partition, this.#ghostOf(partition), offset, value, 'read')
  }

  /**
   * After a whole partition was read: everything acknowledged must have been there (R4, L4), and what one producer sent stands in the
   * order in which it sent it (R14). Values are the producer's number and a count, with a dash between.
   */
  checkComplete(partition: number, read: ReadonlyMap<number, string>): void {
    this.#checkOrder(partition, read)
    const { acked, ackedUnplaced } = this.#ghostOf(partition)
    const stored = new Set(read.values())
    this.#markUnknown(partition, stored)
    for (const value of ackedUnplaced) {
      this.#world.judge('R4')
      must(stored.has(value), 'R4', () => `"${value}" was acknowledged and is nowhere in partition ${partition}`)
    }
    for (const [offset, value] of acked) {
      this.#world.judge('R4')
      must(read.get(offset) === value, 'R4', () => {
        return `"${value}" was acknowledged at ${offset} of partition ${partition}; there is ${read.get(offset) ?? 'nothing'}`
      })
    }
  }

  #checkOrder(partition: number, read: ReadonlyMap<number, string>): void {
    const last = new Map<string, number>()
    for (const value of read.values()) {
      const [producer = '', count] = value.split('-')
      const before = last.get(producer) ?? -1
      this.#world.judge('R14')
      must(
        Number(count) > before,
        'R14',
        () => `"${value}" stands after "${producer}-${before}" in partition ${partition}`,
      )
      last.set(producer, Number(count))
    }
  }

  #markUnknown(partition: number, stored: ReadonlySet<string>): void {
    for (const value of this.#ghostOf(partition).unknown) {
      this.#world.mark(stored.has(value) ? 'given up and stored' : 'given up and not stored')
    }
  }

  #note(partition: number, ghost: PartitionGhost, offset: number, value: string, how: string): void {
    const at = ghost.values.get(offset)
    must(at === undefined || at === value, 'R3', () => {
      return `offset ${offset} of partition ${partition} was "${at}", and "${value}" is ${how} there`
    })
    const other = ghost.offsets.get(value)
    this.#world.judge('R14')
    must(other === undefined || other === offset, 'R14', () => {
      return `"${value}" is at ${other} and at ${offset} of partition ${partition}`
    })
    ghost.values.set(offset, value)
    ghost.offsets.set(value, offset)
  }

  #ghostOf(partition: number): PartitionGhost {
    let ghost = this.#partitions.get(partition)
    if (ghost === undefined) {
      ghost = { values: new Map(), offsets: new Map(), acked: new Map(), ackedUnplaced: new Set(), unknown: new Set() }
      this.#partitions.set(partition, ghost)
    }
    return ghost
  }
}
