import type { ProducerId } from '@millrace/base'
import type { ProducerIdBlock } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { MetadataService } from './metadata-service.ts'

/** Share of a block after which the next one is asked for, so that nobody waits for it. */
const PREFETCH_AFTER = 0.9

/** Hands out producer ids from blocks that the metadata gives. An id is never given twice, in no life of the node. */
export class ProducerIdSource {
  readonly #metadata: Pick<MetadataService, 'allocateProducerIds'>
  #next: ProducerId = 0
  #end: ProducerId = 0
  #prefetchAt: ProducerId = 0
  #spare: ProducerIdBlock | null = null
  #fetching: Promise<number> | null = null

  constructor(metadata: Pick<MetadataService, 'allocateProducerIds'>) {
    this.#metadata = metadata
  }

  /** A fresh id, or the error that a client can retry. Rejects only if the metadata cannot be written. */
  async next(): Promise<{ producerId: ProducerId } | { errorCode: number }> {
    while (this.#next === this.#end) {
      if (this.#spare !== null) {
        this.#adopt(this.#spare)
        this.#spare = null
        continue
      }
      const errorCode = await this.#fetch()
      if (errorCode !== ErrorCode.NONE) return { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }
    }
    const producerId = this.#next++
    // Nobody waits for this one: a failure shows again when the block is used up.
    if (producerId === this.#prefetchAt && this.#spare === null) void this.#fetch().catch(() => undefined)
    return { producerId }
  }

  #adopt(block: ProducerIdBlock): void {
    this.#next = block.start
    this.#end = block.end
    this.#prefetchAt = block.start + Math.floor((block.end - block.start) * PREFETCH_AFTER)
  }

  /** One request at a time, whoever waits. */
  #fetch(): Promise<number> {
    this.#fetching ??= this.#request().finally(() => {
      this.#fetching = null
    })
    return this.#fetching
  }

  async #request(): Promise<number> {
    const block = await this.#metadata.allocateProducerIds()
    if ('code' in block) return block.code
    this.#spare = block
    return ErrorCode.NONE
  }
}
