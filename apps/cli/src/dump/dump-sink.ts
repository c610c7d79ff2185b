import type { Row } from '../io/output-format.ts'

export interface DumpOptions {
  /** Print records, not only batches. */
  records: boolean
  /** Check checksums, order, and indexes against their segment. */
  verify: boolean
  /** Print neither batches nor entries, only what files have in all. */
  summaryOnly: boolean
}

/** Where a dump goes. */
export interface DumpSink {
  /** One batch, record or entry; false: enough, or nobody reads on. */
  row(kind: string, row: Row): Promise<boolean>
  /** What a file has in all. */
  summary(row: Row): Promise<void>
  /** Something is wrong at a position of a file. */
  problem(path: string, position: number, text: string): Promise<void>
}
