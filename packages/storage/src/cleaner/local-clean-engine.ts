import { assert, type Clock, type Disk, type Offset, type ProducerId, type Timers } from '@millrace/base'
import {
  batchSizeOf,
  CompressionError,
  CorruptBatchError,
  isControlBatch,
  lastOffsetOf,
  producerIdOf,
  RecordReader,
} from '@millrace/protocol'
import { type BatchFate, BatchRewriter } from './batch-rewriter.ts'
import { BatchSource } from './batch-source.ts'
import type {
  CleanEngine,
  CleanOrder,
  FoundDamage,
  IndexOutcome,
  RewriteOrder,
  RewriteOutcome,
  SourceSegment,
  Uncleanable,
  UnreadableBatch,
} from './clean-orders.ts'
import { CleanTransactions } from './clean-transactions.ts'
import { CleanedSegment } from './cleaned-segment.ts'
import { IoThrottle } from './io-throttle.ts'
import { KeyOffsets } from './key-offsets.ts'
import { OffsetOrder } from './offset-order.ts'

export interface LocalCleanEnginePorts {
  readonly disk: Disk
  readonly clock: Clock
  readonly timers: Timers
  /** 16 random bytes, which nobody else knows. */
  readonly secret: Buffer
  /** Resolves when other work of the thread has had its turn. */
  nextTurn(): Promise<void>
}

/** Read, and as a rule written, between two turns of the thread. */
const STEP_BYTES = 256 * 1024

/** Compacts on the thread where it is, a piece at a time: the work of a thread for it, and of brokers in tests and simulations. */
export class LocalCleanEngine implements CleanEngine {
  readonly #ports: LocalCleanEnginePorts
  readonly #keys: KeyOffsets
  readonly #reader: RecordReader
  readonly #throttle: IoThrottle
  #order: CleanOrder | null
  #rewriter: BatchRewriter | null
  /** The first batch of the segments that are being rewritten that cannot be read. */
  #unreadable: UnreadableBatch | null
  /** The segment that is being written, which takes the entries of aborted transactions. */
  #cleaned: CleanedSegment | null
  /** Of the batch that is being indexed: offset, and start and end of the key, of each record. Grows to the largest batch. */
  readonly #foundKeys: number[]
  #isAborted: boolean
  /** Bytes since the last turn of the thread. */
  #stepBytes: number

  constructor(ports: LocalCleanEnginePorts) {
    this.#ports = ports
    this.#keys = new KeyOffsets(ports.secret)
    this.#reader = new RecordReader()
    this.#throttle = new IoThrottle(ports.clock.monotonicMs())
    this.#order = null
    this.#rewriter = null
    this.#cleaned = null
    this.#unreadable = null
    this.#foundKeys = []
    this.#isAborted = false
    this.#stepBytes = 0
  }

  get memoryBytes(): number {
    return this.#keys.memoryBytes
  }

  abort(): void {
    this.#isAborted = true
  }

  close(): void {
    this.abort()
    this.#keys.release()
  }

  async index(order: CleanOrder): Promise<IndexOutcome> {
    this.#isAborted = false
    this.#order = order
    this.#keys.reset(order.memoryBytes, order.loadFactor, order.endOffset - order.firstDirtyOffset)
    const transactions = new CleanTransactions(order.aborted, () => undefined)
    const counts = { recordCount: 0, readBytes: 0 }
    const lastIndexed = new Map<ProducerId, Offset>()
    const later = new Set(order.laterProducers)
    let isFull = false
    for (const segment of order.dirty) {
      const source = new BatchSource(this.#ports.disk, segment, order.ioBufferBytes)
      try {
        const outcome = await this.#indexSegment(source, segment, transactions, counts, later, lastIndexed)
        if (outcome !== 'end' && outcome !== 'full') return outcome
        isFull = outcome === 'full'
      } finally {
        source.close()
        counts.readBytes += source.readBytes
      }
      if (isFull) break
    }
    if (!isFull) this.#keys.latestOffset = order.endOffset - 1
    const rewriterTransactions = new CleanTransactions(order.aborted, (transaction) =>
      this.#cleaned!.addAborted(transaction),
    )
    this.#rewriter = new BatchRewriter(order, this.#keys, rewriterTransactions, lastIndexed)
    const { count: keyCount, fill, latestOffset } = this.#keys
    return { kind: 'indexed', endOffset: latestOffset + 1, keyCount, fill, ...counts }
  }

  async #indexSegment(
    source: BatchSource,
    segment: SourceSegment,
    transactions: CleanTransactions,
    counts: { recordCount: number },
    later: ReadonlySet<ProducerId>,
    lastIndexed: Map<ProducerId, Offset>,
  ): Promise<IndexOutcome | 'end' | 'full'> {
    const { firstDirtyOffset } = this.#order!
    for (;;) {
      const found = source.next()
      if (found === 'end') return 'end'
      if (found === 'damaged') return damageAt(segment, source)
      const { buffer, position, end } = source
      const lastOffset = lastOffsetOf(buffer, position)
      const isControl = isControlBatch(buffer, position)
      const producerId = producerIdOf(buffer, position)
      if (!isControl && later.has(producerId)) lastIndexed.set(producerId, lastOffset)
      if (isControl) transactions.isSpent(buffer, position, end)
      else if (!transactions.isAborted(buffer, position) && lastOffset >= firstDirtyOffset) {
        if (!this.#indexBatch(buffer, position, counts)) return 'full'
      }
      if (lastOffset >= firstDirtyOffset) this.#keys.latestOffset = lastOffset
      if (this.#isStepOver(end - position) && !(await this.#pause())) return { kind: 'aborted' }
    }
  }

  /**
   * False if the memory for keys is full; {@link KeyOffsets.latestOffset} tells how far it got. Of a batch that cannot be read as a whole no key
   * counts: nobody else may read it either, and then nothing of it stands for the records before it.
   */
  #indexBatch(buffer: Buffer, position: number, counts: { recordCount: number }): boolean {
    const { firstDirtyOffset } = this.#order!
    const reader = this.#reader
    const found = this.#foundKeys
    let count = 0
    try {
      const offsets = new OffsetOrder(buffer, position)
      reader.open(buffer, position)
      while (reader.next()) {
        offsets.check(reader.offsetDelta)
        counts.recordCount++
        const { offset, keyPosition, keyLength } = reader
        if (keyLength < 0 || offset < firstDirtyOffset) continue
        found[count++] = offset
        found[count++] = keyPosition
        found[count++] = keyPosition + keyLength
      }
    } catch (error) {
      if (isUnreadable(error)) return true
      throw error
    }
    for (let at = 0; at < count; at += 3) {
      if (!this.#keys.put(reader.bytes, found[at + 1]!, found[at + 2]!, found[at]!)) return false
    }
    return true
  }

  async rewrite({ sources, directory, suffix }: RewriteOrder): Promise<RewriteOutcome> {
    const order = this.#order
    const rewriter = this.#rewriter
    assert(order !== null && rewriter !== null, 'keys are indexed before segments are rewritten')
    if (this.#isAborted) return { kind: 'aborted' }
    const { ioBufferBytes, indexIntervalBytes } = order
    const { baseOffset } = sources[0]!
    const { disk } = this.#ports
    const cleaned = new CleanedSegment(disk, directory, suffix, baseOffset, ioBufferBytes, indexIntervalBytes)
    this.#cleaned = cleaned
    rewriter.readRecordCount = 0
    rewriter.keptRecordCount = 0
    rewriter.keylessCount = 0
    rewriter.changedCount = 0
    rewriter.nextHorizonMs = Number.POSITIVE_INFINITY
    this.#unreadable = null
    let readBytes = 0
    try {
      for (const segment of sources) {
        const source = new BatchSource(disk, segment, ioBufferBytes)
        try {
          const outcome = await this.#rewriteSegment(source, segment, cleaned, segment === sources.at(-1))
          if (outcome !== 'end') return outcome
        } finally {
          source.close()
          readBytes += source.readBytes
        }
      }
      cleaned.fillTo(sources.at(-1)!.endOffset)
      await cleaned.finish(directory)
    } finally {
      cleaned.close()
      this.#cleaned = null
    }
    const { readRecordCount, keptRecordCount, keylessCount, nextHorizonMs } = rewriter
    const isUnchanged = rewriter.changedCount === 0 && !cleaned.isFilled
    const { sizeBytes, nextOffset, hasTransactions: hasTransactionIndex } = cleaned
    const counts = { readBytes, readRecordCount, keptRecordCount, keylessCount }
    const fate = { isUnchanged, nextHorizonMs, unreadable: this.#unreadable }
    return { kind: 'rewritten', sizeBytes, nextOffset, hasTransactionIndex, ...fate, ...counts }
  }

  async #rewriteSegment(
    source: BatchSource,
    segment: SourceSegment,
    cleaned: CleanedSegment,
    isLastSource: boolean,
  ): Promise<RewriteOutcome | 'end'> {
    const rewriter = this.#rewriter!
    for (;;) {
      const found = source.next()
      if (found === 'end') return 'end'
      if (found === 'damaged') return damageAt(segment, source)
      const { buffer, position, end } = source
      const isLast = isLastSource && source.filePosition + end - position === segment.sizeBytes
      let writtenBytes = 0
      const fate = this.#fateOf(buffer, position, isLast, segment, source)
      if (fate !== 'as it is') rewriter.changedCount++
      if (fate !== 'gone') {
        const stays = fate === 'as it is'
        const from = stays ? position : 0
        writtenBytes = batchSizeOf(stays ? buffer : rewriter.rewritten, from)
        if (!cleaned.hasRoom(writtenBytes)) return tooLargeAt(segment, source)
        cleaned.append(stays ? buffer : rewriter.rewritten, from, from + writtenBytes)
      }
      if (this.#isStepOver(end - position + writtenBytes) && !(await this.#pause())) return { kind: 'aborted' }
    }
  }

  /** One that cannot be read stays as it is. */
  #fateOf(buffer: Buffer, position: number, isLast: boolean, segment: SourceSegment, source: BatchSource): BatchFate {
    try {
      return this.#rewriter!.rewrite(buffer, position, isLast)
    } catch (error) {
      if (!isUnreadable(error)) throw error
      this.#rewriter!.keepsTombstones = true
      const { filePosition } = source
      this.#unreadable ??= { segmentBaseOffset: segment.baseOffset, position: filePosition, reason: error.message }
      return 'as it is'
    }
  }

  /** Counts bytes; whether it is time for {@link #pause}. */
  #isStepOver(sizeBytes: number): boolean {
    this.#stepBytes += sizeBytes
    return this.#stepBytes >= STEP_BYTES
  }

  /** Lets others have their turn, and the disk its rest. False if the work was given up. */
  async #pause(): Promise<boolean> {
    const { clock, timers, nextTurn } = this.#ports
    const { maxBytesPerSecond } = this.#order!
    let waitMs = this.#throttle.onBytes(this.#stepBytes, maxBytesPerSecond, clock.monotonicMs())
    this.#stepBytes = 0
    await nextTurn()
    const syncedMs = clock.monotonicMs()
    await this.#cleaned?.settle()
    // The disk has as long for others as it was busy for this: their syncs wait for one of these at most.
    waitMs = Math.max(waitMs, Math.floor(clock.monotonicMs() - syncedMs))
    while (waitMs > 0 && !this.#isAborted) {
      const pauseMs = Math.min(waitMs, PAUSE_MS_MAX)
      await new Promise<void>((resolve) => timers.setTimer(pauseMs, resolve))
      waitMs -= pauseMs
    }
    return !this.#isAborted
  }
}

/** So that whoever gives the work up need not wait for the rest of a long pause. */
const PAUSE_MS_MAX = 500

function damageAt({ baseOffset }: SourceSegment, { filePosition }: BatchSource): FoundDamage {
  return { kind: 'damaged', segmentBaseOffset: baseOffset, position: filePosition }
}

function tooLargeAt({ baseOffset }: SourceSegment, { filePosition }: BatchSource): Uncleanable {
  const reason = 'with its delete horizons the segment would be larger than one may be'
  return { kind: 'uncleanable', segmentBaseOffset: baseOffset, position: filePosition, reason }
}

function isUnreadable(error: unknown): error is CorruptBatchError | CompressionError {
  return error instanceof CorruptBatchError || error instanceof CompressionError
}
