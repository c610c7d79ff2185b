import type { Offset, Random } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { ReadResult } from '../index.ts'
import { fail, InvariantError } from './invariant.ts'
import type { WorkloadLog } from './workload-log.ts'

/** Reads go on over segments, and none is as large as a log. */
const READ_BYTES_MAX = 5000

/** Reads that a workload does not wait for: they end when the disk lets them, whatever has happened to the log, and are judged then. */
export class WorkloadReads {
  /** Those that have not ended. */
  pendingCount: number
  endedCount: number
  #failure: unknown

  constructor() {
    this.pendingCount = 0
    this.endedCount = 0
    this.#failure = null
  }

  /** Reads from some offset of the log on; nothing where it is empty. */
  start(entry: WorkloadLog, random: Random): void {
    const log = entry.log!
    const span = log.writtenOffset - log.logStartOffset
    if (span <= 0) return
    const fromOffset = log.logStartOffset + (random.uint32() % span)
    this.pendingCount++
    this.#read(entry, fromOffset, 1 + (random.uint32() % READ_BYTES_MAX)).then(
      () => this.#end(null),
      (error: unknown) => this.#end(error),
    )
  }

  /** Throws what the first one that went wrong threw. */
  check(): void {
    if (this.#failure !== null) throw this.#failure
  }

  #end(error: unknown): void {
    this.pendingCount--
    this.endedCount++
    this.#failure ??= error
  }

  async #read(entry: WorkloadLog, fromOffset: Offset, maxBytes: number): Promise<void> {
    const log = entry.log!
    const { batches } = entry.model
    const upperOffset = log.writtenOffset
    const { generation } = log
    const out = new ReadResult()
    const isRead = await log.read(fromOffset, maxBytes, upperOffset, true, out)
    // Truncated, gone or offline since: what it gave says nothing.
    if (log.failed || entry.log !== log || generation !== log.generation) return
    if (!isRead) {
      judgeError(out.errorCode, fromOffset, log.logStartOffset)
      return
    }
    const wanted = batches.filter(({ lastOffset }) => lastOffset >= fromOffset && lastOffset <= out.lastOffset)
    if (wanted.length === 0) fail('S2', `a read of ${fromOffset} to ${upperOffset} gave nothing`)
    const bytes = Buffer.concat(out.buffers)
    if (!bytes.equals(Buffer.concat(wanted.map((batch) => batch.bytes)))) {
      fail('S2', `a read from ${fromOffset} on gave other bytes`)
    }
  }
}

/** A disk that fails may say so; what was read of a sound one may be gone by now, and is never damaged. */
function judgeError(code: number, fromOffset: Offset, logStartOffset: Offset): void {
  if (code === ErrorCode.KAFKA_STORAGE_ERROR) return
  if (code === ErrorCode.OFFSET_OUT_OF_RANGE && fromOffset < logStartOffset) return
  throw new InvariantError('S2', `a read of ${fromOffset} ended with error ${code}`)
}
