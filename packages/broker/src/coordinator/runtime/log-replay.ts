import { BaseError, type Clock, type Offset, type Timers } from '@millrace/base'
import {
  BatchCursor,
  baseOffsetOf,
  ControlRecordType,
  CorruptBatchError,
  controlTypeOf,
  isControlBatch,
  lastOffsetOf,
  MalformedMessageError,
  producerEpochOf,
  producerIdOf,
  RecordReader,
  UnsupportedVersionError,
} from '@millrace/protocol'
import type { Logger } from '../../logger.ts'
import { type CoordinatorLog, LogDamageError } from '../coordinator-log.ts'
import type { Coordinator, RecordCodec } from './coordinator.ts'
import { describeError } from './describe-error.ts'
import { LeftOut } from './left-out.ts'
import type { Timeline } from './timeline.ts'

/** How long records are applied before other work of the process gets its turn. */
const SLICE_MS = 10

/** The log holds something that the coordinator cannot read or follow. `cause` says what. */
class ReplayError extends BaseError {
  readonly offset: Offset

  constructor(message: string, offset: Offset, options?: { cause?: unknown }) {
    super('COORDINATOR_REPLAY', message, options)
    this.offset = offset
  }
}

/** What a replay works on. */
export interface ReplayTarget<Record> {
  readonly machine: Pick<Coordinator<Record, unknown, unknown>, 'apply' | 'endTransaction'>
  readonly codec: RecordCodec<Record>
  readonly timeline: Timeline
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
}

/** What a replay found. */
export interface ReplaySummary {
  readonly recordCount: number
  /** Batches above the high watermark: reads do not see them until it has passed their end. */
  readonly uncommitted: readonly { endOffset: Offset; version: number }[]
}

/**
 * Applies all of a log to a machine, from its start to its end, whatever the high watermark: this node leads the partition, so what
 * it holds stays. Ends early, its summary void, once `isCurrent` is false.
 *
 * Two things may stand in the way, and they are not the same. A record that nobody can make sense of, under a right checksum, is as it
 * was written, by a client that may write here or by another version: it is skipped and told, and the rest counts. A batch whose
 * checksum fails, or that the disk lost, held what was acknowledged once. Without it an offset would be an older one, or none, and
 * consumers begin at the end of their partitions where they find none: so the load ends with an error, unless the log accepts loss.
 *
 * Throws `BaseError` COORDINATOR_REPLAY or LOG_DAMAGE for what stops it, and errors of the disk.
 */
export async function replayLog<Record>(
  log: CoordinatorLog,
  target: ReplayTarget<Record>,
  isCurrent: () => boolean,
): Promise<ReplaySummary> {
  const replay = new LogReplay(log, target)
  for (let fromOffset = log.logStartOffset; fromOffset < log.logEndOffset; ) {
    const toOffset = log.logEndOffset
    try {
      if (!(await replayRange(log, target, replay, fromOffset, toOffset, isCurrent))) return replay
      fromOffset = toOffset
    } catch (error) {
      if (!(error instanceof LogDamageError)) throw error
      replay.onLost(error.startOffset, error.endOffset, error)
      fromOffset = error.endOffset
    }
  }
  replay.tellLeftOut()
  return replay
}

/** Applies `[fromOffset, toOffset)`. False: the replay is not wanted any more. */
async function replayRange<Record>(
  log: CoordinatorLog,
  { clock, timers }: ReplayTarget<Record>,
  replay: LogReplay<Record>,
  fromOffset: Offset,
  toOffset: Offset,
  isCurrent: () => boolean,
): Promise<boolean> {
  let sliceEndMs = clock.monotonicMs() + SLICE_MS
  for await (const chunk of log.read(fromOffset, toOffset)) {
    const cursor = new BatchCursor(chunk)
    while (isCurrent() && moveOn(cursor, replay)) {
      replay.applyBatch(cursor)
      if (clock.monotonicMs() < sliceEndMs) continue
      await new Promise<void>((resolve) => timers.setTimer(0, resolve))
      sliceEndMs = clock.monotonicMs() + SLICE_MS
    }
    if (!isCurrent()) return false
    if (cursor.trailingBytes > 0 && !replay.endsInLoss) {
      replay.onDamage(new CorruptBatchError('truncated', cursor.position, 'what the log gave ends inside a batch'))
    }
  }
  if (replay.endOffset < toOffset && !replay.endsInLoss) {
    throw new ReplayError('the log ends before its end offset', replay.endOffset)
  }
  return true
}

/** The next batch of the chunk; false after the last, or where it cannot be found: then the rest of the chunk is lost. */
function moveOn<Record>(cursor: BatchCursor, replay: LogReplay<Record>): boolean {
  try {
    return cursor.next()
  } catch (error) {
    if (!(error instanceof CorruptBatchError)) throw error
    replay.onDamage(error)
    return false
  }
}

class LogReplay<Record> implements ReplaySummary {
  recordCount = 0
  /** Offset after the last batch applied. */
  endOffset: Offset
  /** The last batch was damaged: nobody knows where it ended. */
  endsInLoss = false
  readonly uncommitted: { endOffset: Offset; version: number }[] = []
  readonly #log: CoordinatorLog
  readonly #target: ReplayTarget<Record>
  readonly #reader = new RecordReader()
  /** Unknown types are said once each, not once per record. */
  readonly #unknownTypes = new Set<number>()
  /** Records that cannot be made out, and ranges that are lost. */
  readonly #unreadable = new LeftOut()
  readonly #lost = new LeftOut()

  constructor(log: CoordinatorLog, target: ReplayTarget<Record>) {
    this.#log = log
    this.#target = target
    this.endOffset = log.logStartOffset
  }

  applyBatch(cursor: BatchCursor): void {
    const damage = damageOf(cursor)
    if (damage !== null) {
      this.onDamage(damage)
      return
    }
    this.endsInLoss = false
    const { buffer, position } = cursor
    const endOffset = lastOffsetOf(buffer, position) + 1
    if (this.uncommitted.length > 0 || endOffset > this.#log.highWatermark) {
      this.uncommitted.push({ endOffset, version: this.#target.timeline.begin() })
    }
    try {
      this.#applyRecords(buffer, position)
    } catch (cause) {
      const message = `${this.#name}: the batch that ends before offset ${endOffset} cannot be replayed`
      throw new ReplayError(message, endOffset - 1, { cause })
    }
    this.endOffset = endOffset
  }

  /** What follows the last batch is not as it was written. How many records it held is not known either. */
  onDamage(damage: CorruptBatchError): void {
    this.onLost(this.endOffset, this.endOffset + 1, damage)
    this.endsInLoss = true
  }

  /** `[startOffset, endOffset)` cannot be had. Throws unless the log accepts that. */
  onLost(startOffset: Offset, endOffset: Offset, cause: BaseError): void {
    if (!this.#log.acceptsLoss) {
      const remedy = `unclean.leader.election.enable=true for ${this.#log.topic} goes on without them`
      const message = `${this.#name}: records are lost, from offset ${startOffset} on; ${remedy}`
      throw new ReplayError(message, startOffset, { cause })
    }
    this.#lost.add(startOffset, endOffset - 1, cause.message)
    this.endOffset = endOffset
  }

  tellLeftOut(): void {
    const { logger } = this.#target
    this.#tell(this.#unreadable, (fields) => logger.warn('coordinator skipped records that it cannot read', fields))
    this.#tell(this.#lost, (fields) => logger.error('coordinator goes on without what its log has lost', fields))
  }

  get #name(): string {
    return `${this.#log.topic}-${this.#log.partition}`
  }

  #tell(left: LeftOut, log: (fields: { [name: string]: unknown }) => void): void {
    if (left.count === 0) return
    const { topic, partition } = this.#log
    const { count, firstOffset, lastOffset, reason } = left
    log({ topic, partition, count, firstOffset, lastOffset, firstReason: reason })
  }

  #applyRecords(buffer: Buffer, position: number): void {
    const isControl = isControlBatch(buffer, position)
    const producerId = producerIdOf(buffer, position)
    const producerEpoch = producerEpochOf(buffer, position)
    let nextOffset = baseOffsetOf(buffer, position)
    try {
      this.#reader.open(buffer, position)
      while (this.#reader.next()) {
        this.recordCount++
        if (isControl) this.#endTransaction(producerId)
        else this.#applyRecord(producerId, producerEpoch)
        nextOffset = this.#reader.offset + 1
      }
    } catch (error) {
      if (!(error instanceof CorruptBatchError)) throw error
      // The checksum is right: whoever wrote the batch wrote it so. Where its next record would begin nobody knows.
      const lastOffset = Math.max(nextOffset, lastOffsetOf(buffer, position))
      this.#unreadable.add(nextOffset, lastOffset, error.message, lastOffset - nextOffset + 1)
    }
  }

  #endTransaction(producerId: number): void {
    const type = controlTypeOf(this.#reader)
    const { machine } = this.#target
    if (type === ControlRecordType.COMMIT) machine.endTransaction(producerId, true)
    else if (type === ControlRecordType.ABORT) machine.endTransaction(producerId, false)
  }

  #applyRecord(producerId: number, producerEpoch: number): void {
    const { offset } = this.#reader
    const record = this.#decode(offset)
    if (record !== null) this.#target.machine.apply(record, { offset, producerId, producerEpoch })
  }

  /** Null: it is skipped, and that was noted. */
  #decode(offset: Offset): Record | null {
    const key = this.#reader.key()
    if (key === null) {
      this.#unreadable.add(offset, offset, 'a record without a key')
      return null
    }
    try {
      const record = this.#target.codec.decode(key, this.#reader.value())
      if (record === null) this.#skipUnknown(key)
      return record
    } catch (error) {
      if (!(error instanceof MalformedMessageError || error instanceof UnsupportedVersionError)) throw error
      this.#unreadable.add(offset, offset, describeError(error))
      return null
    }
  }

  #skipUnknown(key: Buffer): void {
    const type = key.readInt16BE(0)
    if (this.#unknownTypes.has(type)) return
    this.#unknownTypes.add(type)
    const { topic, partition } = this.#log
    this.#target.logger.warn('records of an unknown type are skipped', { topic, partition, type })
  }
}

/** What is wrong with a batch's bytes, or null. Its checksum does not cover the format: another one is damage as well. */
function damageOf(cursor: BatchCursor): CorruptBatchError | null {
  if (cursor.magic !== 2) return new CorruptBatchError('magic', cursor.position, `${cursor.magic} is not kept in logs`)
  try {
    cursor.checkCrc()
    return null
  } catch (error) {
    if (error instanceof CorruptBatchError) return error
    throw error
  }
}
