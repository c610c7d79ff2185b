import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** Offsets whose commit was acknowledged: a later look finds them or later ones (G2). */
export class GroupGhost {
  readonly #world: World
  readonly #committed = new Map<number, number>()

  constructor(world: World) {
    this.#world = world
  }

  onCommitted(partition: number, offset: number): void {
    this.#committed.set(partition, Math.max(offset, this.#committed.get(partition) ?? 0))
  }

  check(found: ReadonlyMap<number, number>): void {
    for (const [partition, offset] of this.#committed) {
      this.#world.judge('G2')
      must((found.get(partition) ?? -1) >= offset, 'G2', () => {
        return `${offset} was committed of partition ${partition}; there is ${found.get(partition)}`
      })
    }
  }
}
