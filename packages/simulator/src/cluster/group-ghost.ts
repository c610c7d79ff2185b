import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** What a group's members were told: who owns what in which generation, and which offsets are committed (G1, G2). */
export class GroupGhost {
  readonly #world: World
  readonly #committed = new Map<number, number>()
  /** Member by generation and partition. */
  readonly #owners = new Map<string, string>()
  /** Last generation of each member. */
  readonly #generations = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
  }

  /** G1: a member has its part of a generation, which no other has. */
  onAssigned(memberId: string, generationId: number, partitions: readonly number[]): void {
    this.#world.judge('G1')
    const before = this.#generations.get(memberId) ?? -1
    must(generationId >= before, 'G1', () => `member ${memberId} is in generation ${generationId} after ${before}`)
    this.#generations.set(memberId, generationId)
    for (const partition of partitions) {
      const slot = `${generationId} ${partition}`
      const owner = this.#owners.get(slot) ?? memberId
      must(owner === memberId, 'G1', () => {
        return `partition ${partition} belongs to ${owner} and to ${memberId} in generation ${generationId}`
      })
      this.#owners.set(slot, memberId)
    }
  }

  onCommitted(partition: number, offset: number): void {
    this.#committed.set(partition, Math.max(offset, this.#committed.get(partition) ?? 0))
  }

  /** G2: offsets whose commit was acknowledged; a later look finds them or later ones. */
  check(found: ReadonlyMap<number, number>): void {
    for (const [partition, offset] of this.#committed) {
      this.#world.judge('G2')
      must((found.get(partition) ?? -1) >= offset, 'G2', () => {
        return `${offset} was committed of partition ${partition}; there is ${found.get(partition)}`
      })
    }
  }
}
