import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'

/** A transactional id as an administrator was told of it. */
export interface DescribedId {
  readonly transactionalId: string
  readonly state: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

const STATES: ReadonlySet<string> = new Set([
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
])

/** Identities of producers, in looks that follow each other: an id keeps its producer id, and its epoch never goes back (T3). */
export class IdentityGhost {
  readonly #world: World
  readonly #known = new Map<string, { readonly producerId: bigint; producerEpoch: number }>()

  constructor(world: World) {
    this.#world = world
  }

  /** `isOld`: it may come from a coordinator that another has replaced without its knowing. */
  onDescribed({ transactionalId, state, producerId, producerEpoch }: DescribedId, isOld = false): void {
    this.#world.judge('T3')
    must(STATES.has(state), 'T3', () => `${transactionalId} is ${state}`)
    const known = this.#known.get(transactionalId)
    if (known === undefined) {
      this.#known.set(transactionalId, { producerId, producerEpoch })
      return
    }
    must(known.producerId === producerId, 'T3', () => {
      return `${transactionalId} has producer id ${producerId}, it was ${known.producerId}`
    })
    if (isOld) return
    must(producerEpoch >= known.producerEpoch, 'T3', () => {
      return `${transactionalId} is in epoch ${producerEpoch}, it was in ${known.producerEpoch}`
    })
    known.producerEpoch = producerEpoch
  }
  /** Nobody knows the id, an administrator was told. */
  onUnknown(transactionalId: string, isOld = false): void {
    this.#world.judge('T3')
    must(isOld || !this.#known.has(transactionalId), 'T3', () => `${transactionalId} is not known any more`)
  }
}
