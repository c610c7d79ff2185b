import { type ProduceRules, ProduceValidation, validateProduceBatch } from '@millrace/protocol'

/**
 * Where batches are checked whose records must be expanded or compressed anew: a megabyte may hold sixty, which would stop the event loop
 * for a second (`reliability.md`, 6.2). A port: a real broker has a thread for it.
 */
export interface BatchChecks {
  /** Checks one batch, which is not used by anybody else meanwhile or afterwards. One after the other, in the order of the calls. */
  check(batch: Buffer, rules: ProduceRules): Promise<ProduceValidation>
  close(): void
}

/** Checks on this thread, one batch a turn: for brokers in tests and simulations, which have no threads. */
export class LocalBatchChecks implements BatchChecks {
  readonly #nextTurn: () => Promise<void>
  #last: Promise<unknown> = Promise.resolve()

  constructor(nextTurn: () => Promise<void>) {
    this.#nextTurn = nextTurn
  }

  check(batch: Buffer, rules: ProduceRules): Promise<ProduceValidation> {
    const checked = this.#last.then(async () => {
      await this.#nextTurn()
      const validation = new ProduceValidation()
      validateProduceBatch(batch, 0, batch.length, rules, validation)
      return validation
    })
    this.#last = checked
    return checked
  }

  close(): void {
    // Nothing is kept.
  }
}
