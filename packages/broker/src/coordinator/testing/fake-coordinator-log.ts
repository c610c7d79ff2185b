import type { Offset } from '@millrace/base'
import { batchSizeOf, lastOffsetDeltaOf, lastOffsetOf, setBaseOffset } from '@millrace/protocol'
import type { CoordinatorLog } from '../coordinator-log.ts'

/**
 * A partition in memory. The high watermark moves only when told, so that tests decide what is committed; appends fail with
 * `appendError` while that is not 0; `crash` loses what is not committed.
 */
export class FakeCoordinatorLog implements CoordinatorLog {
  readonly topic = 'internal'
  readonly partition: number
  readonly logStartOffset = 0
  highWatermark: Offset = 0
  appendError = 0
  acceptsLoss = false
  /** Batches per chunk of a read. */
  batchesPerChunk = 2
  /** Awaited before each chunk of a read. */
  beforeChunk: () => Promise<void> = () => Promise.resolve()
  batches: Buffer[] = []
  #listener: ((highWatermark: Offset) => void) | null = null

  constructor(partition = 0) {
    this.partition = partition
  }

  get logEndOffset(): Offset {
    const last = this.batches.at(-1)
    return last === undefined ? 0 : lastOffsetOf(last, 0) + 1
  }

  append(batch: Buffer): number {
    if (this.appendError !== 0) return this.appendError
    if (batchSizeOf(batch, 0) !== batch.length) throw new Error('an append takes exactly one batch')
    const stored = Buffer.from(batch)
    setBaseOffset(stored, 0, this.logEndOffset)
    this.batches.push(stored)
    return 0
  }

  onHighWatermark(listener: (highWatermark: Offset) => void): void {
    this.#listener = listener
  }

  async *read(fromOffset: Offset, toOffset: Offset): AsyncIterable<Buffer> {
    const batches = this.batches.filter((batch) => {
      const endOffset = lastOffsetOf(batch, 0) + 1
      return endOffset - 1 - lastOffsetDeltaOf(batch, 0) >= fromOffset && endOffset <= toOffset
    })
    for (let slot = 0; slot < batches.length; slot += this.batchesPerChunk) {
      await this.beforeChunk()
      yield Buffer.concat(batches.slice(slot, slot + this.batchesPerChunk))
    }
  }

  /** Commits everything below `offset`, by default all. */
  commit(offset: Offset = this.logEndOffset): void {
    const highWatermark = Math.min(offset, this.logEndOffset)
    if (highWatermark <= this.highWatermark) return
    this.highWatermark = highWatermark
    this.#listener?.(highWatermark)
  }

  /** The log as it is found after this node died: cut to what is committed. */
  crash(): FakeCoordinatorLog {
    const log = new FakeCoordinatorLog(this.partition)
    log.batches = this.batches.filter((batch) => lastOffsetOf(batch, 0) < this.highWatermark)
    log.highWatermark = log.logEndOffset
    return log
  }
}
