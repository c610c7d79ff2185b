import type { ConsumerRecord } from '@millrace/client'
import type { CliOutput } from '../io/cli-io.ts'
import type { RecordFilter } from './record-filter.ts'
import type { RecordFormatter } from './record-format.ts'

/** Filters, formats and counts records, and writes them in large pieces. */
export class RecordSink {
  readonly #output: CliOutput
  readonly #format: RecordFormatter
  readonly #filter: RecordFilter | null
  readonly #maxCount: number
  #pieces: (string | Buffer)[] = []
  #count = 0

  constructor(output: CliOutput, format: RecordFormatter, filter: RecordFilter | null, maxCount: number) {
    this.#output = output
    this.#format = format
    this.#filter = filter
    this.#maxCount = maxCount
  }

  /** Whether as many records were taken as wanted. */
  get isFull(): boolean {
    return this.#count >= this.#maxCount
  }

  /** Looks at a record; false if no more are wanted. */
  take(record: ConsumerRecord): boolean {
    if (this.isFull) return false
    if (this.#filter !== null && !this.#filter(record)) return true
    this.#count++
    this.#format(record, this.#pieces)
    return !this.isFull
  }

  /** Writes what was formatted; resolves when the reader has room for more. */
  async flush(): Promise<void> {
    if (this.#pieces.length === 0) return
    const pieces = this.#pieces
    this.#pieces = []
    const isText = pieces.every((piece) => typeof piece === 'string')
    if (isText) await this.#output.write(pieces.join(''))
    else
      await this.#output.write(
        Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece))),
      )
  }
}
