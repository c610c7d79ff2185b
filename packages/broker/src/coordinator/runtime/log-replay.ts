import { BaseError, type Clock, type Offset, type Timers } from '@millrace/base'
import {
  BatchCursor,
  ControlRecordType,
  controlTypeOf,
  isControlBatch,
  lastOffsetOf,
  producerEpochOf,
  producerIdOf,
  RecordReader,
} from '@millrace/protocol'
import type { Logger } from '../../logger.ts'
import type { CoordinatorLog } from '../coordinator-log.ts'
import type { Coordinator, RecordCodec } from './coordinator.ts'
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
 * it holds stays. Ends early, its summary void, once `isCurrent` is false. Throws `BaseError` COORDINATOR_REPLAY for what
 * cannot be read, and errors of the disk.
 */
export async function replayLog<Record>(
  log: CoordinatorLog,
  target: ReplayTarget<Record>,
  isCurrent: () => boolean,
): Promise<ReplaySummary> {
  const replay = new LogReplay(log, target)
  const { clock, timers } = target
  let sliceEndMs = clock.monotonicMs() + SLICE_MS
  for (let fromOffset = log.logStartOffset; fromOffset < log.logEndOffset; ) {
    const toOffset = log.logEndOffset
    for await (const chunk of log.read(fromOffset, toOffset)) {
      const cursor = new BatchCursor(chunk)
      while (isCurrent() && cursor.next()) {
        replay.applyBatch(cursor)
        if (clock.monotonicMs() < sliceEndMs) continue
        await new Promise<void>((resolve) => timers.setTimer(0, resolve))
        sliceEndMs = clock.monotonicMs() + SLICE_MS
      }
      if (!isCurrent()) return replay
      if (cursor.trailingBytes > 0) throw new ReplayError('a chunk of the log ends inside a batch', fromOffset)
    }
    if (replay.endOffset < toOffset) throw new ReplayError('the log ends before its end offset', replay.endOffset)
    fromOffset = toOffset
  }
  return replay
}

class LogReplay<Record> implements ReplaySummary {
  recordCount = 0
  /** Offset after the last batch applied. */
  endOffset: Offset
  readonly uncommitted: { endOffset: Offset; version: number }[] = []
  readonly #log: CoordinatorLog
  readonly #target: ReplayTarget<Record>
  readonly #reader = new RecordReader()
  /** Unknown types are said once each, not once per record. */
  readonly #unknownTypes = new Set<number>()

  constructor(log: CoordinatorLog, target: ReplayTarget<Record>) {
    this.#log = log
    this.#target = target
    this.endOffset = log.logStartOffset
  }

  applyBatch(cursor: BatchCursor): void {
    const { buffer, position } = cursor
    const endOffset = lastOffsetOf(buffer, position) + 1
    if (this.uncommitted.length > 0 || endOffset > this.#log.highWatermark) {
      this.uncommitted.push({ endOffset, version: this.#target.timeline.begin() })
    }
    try {
      if (cursor.magic !== 2) throw new ReplayError(`record format ${cursor.magic}`, endOffset - 1)
      cursor.checkCrc()
      const isControl = isControlBatch(buffer, position)
      const producerId = producerIdOf(buffer, position)
      const producerEpoch = producerEpochOf(buffer, position)
      this.#reader.open(buffer, position)
      while (this.#reader.next()) {
        this.recordCount++
        if (isControl) this.#endTransaction(producerId)
        else this.#applyRecord(producerId, producerEpoch)
      }
    } catch (cause) {
      const { topic, partition } = this.#log
      const message = `${topic}-${partition}: the batch that ends before offset ${endOffset} cannot be replayed`
      throw new ReplayError(message, endOffset - 1, { cause })
    }
    this.endOffset = endOffset
  }

  #endTransaction(producerId: number): void {
    const type = controlTypeOf(this.#reader)
    const { machine } = this.#target
    if (type === ControlRecordType.COMMIT) machine.endTransaction(producerId, true)
    else if (type === ControlRecordType.ABORT) machine.endTransaction(producerId, false)
  }

  #applyRecord(producerId: number, producerEpoch: number): void {
    const { codec, machine } = this.#target
    const key = this.#reader.key()
    if (key === null) throw new ReplayError('a record without a key', this.#reader.offset)
    const record = codec.decode(key, this.#reader.value())
    if (record === null) this.#skipUnknown(key)
    else machine.apply(record, { offset: this.#reader.offset, producerId, producerEpoch })
  }

  #skipUnknown(key: Buffer): void {
    const type = key.readInt16BE(0)
    if (this.#unknownTypes.has(type)) return
    this.#unknownTypes.add(type)
    const { topic, partition } = this.#log
    this.#target.logger.warn('records of an unknown type are skipped', { topic, partition, type })
  }
}
