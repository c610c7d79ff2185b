import type { BatchChecks } from '@millrace/broker/testing'
import { type ProduceRules, ProduceValidation, validateProduceBatch } from '@millrace/protocol'
import type { StallWatch } from './stall-watch.ts'

/** Stands for the thread in which a real broker checks large batches: the same work, in turns that the watch does not count. */
export class WatchedChecks implements BatchChecks {
  readonly #watch: StallWatch

  constructor(watch: StallWatch) {
    this.#watch = watch
  }

  async check(batch: Buffer, rules: ProduceRules): Promise<ProduceValidation> {
    await new Promise((resolve) => setImmediate(resolve))
    const validation = new ProduceValidation()
    this.#watch.elsewhere(() => validateProduceBatch(batch, 0, batch.length, rules, validation))
    return validation
  }

  close(): void {
    // Nothing is kept.
  }
}
