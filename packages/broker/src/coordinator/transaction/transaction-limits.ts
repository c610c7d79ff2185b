import { isShared, roomForClient, shareKeyOf } from '../../client-share.ts'
import type { TransactionCoordinatorConfig } from './transaction-config.ts'
import { sizeOfId, TransactionUsage } from './transaction-usage.ts'

/** Whose share a new id takes: nobody's while there is plenty of room. */
export type Admission = { readonly owner: string | null } | null

/**
 * Bounds what clients make a node remember of transactional ids, over all partitions: Kafka leaves it to expiry, after a week. At a bound
 * no new id is taken; those that exist go on, and clients try again. From half of the bound on one client address gets a share only of
 * what is left (`client-share.ts`), so that whoever came first cannot keep others out.
 */
export class TransactionLimits {
  /** Of all machines. */
  readonly usage = new TransactionUsage()
  /** New ids that were refused. */
  refusals = 0
  readonly #maxIds: number
  readonly #maxBytes: number

  constructor({ transactionCoordinatorMaxIds, transactionCoordinatorMaxBytes }: TransactionCoordinatorConfig) {
    this.#maxIds = transactionCoordinatorMaxIds
    this.#maxBytes = transactionCoordinatorMaxBytes
  }

  /** Null: there is no room for a new id of this client. */
  admit(transactionalId: string, clientAddress: string): Admission {
    const { ids, bytes } = this.usage
    if (ids >= this.#maxIds || bytes + sizeOfId(transactionalId) > this.#maxBytes) return this.#refuse()
    if (!isShared(this.#maxIds, ids) && !isShared(this.#maxBytes, bytes)) return { owner: null }
    const owner = shareKeyOf(clientAddress)
    // Where memory is scarcer than the number, as many as that stands for.
    const used = Math.max(ids, Math.floor((bytes / this.#maxBytes) * this.#maxIds))
    return roomForClient(this.#maxIds, used, this.usage.heldBy(owner)) > 0 ? { owner } : this.#refuse()
  }

  /** Whether an open transaction may name more partitions: what is there already must end. */
  get hasRoom(): boolean {
    return this.usage.bytes < this.#maxBytes
  }

  #refuse(): null {
    this.refusals++
    return null
  }
}
