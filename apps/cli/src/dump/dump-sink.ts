import type { Row } from '../io/output-format.ts'

export interface DumpOptions {
  /** Print records, not only batches. */
  records: boolean
  /** Check records, order, and indexes against their segment; checksums are checked in any case. */
  verify: boolean
  /** Print neither batches nor entries, only what files have in all. */
  summaryOnly: boolean
}

/** Where a dump goes. */
export interface DumpSink {
  /** Before each batch or entry, shown or not: lets the process see to Ctrl-C; false: end. */
  step(): Promise<boolean>
  /** One batch, record or entry, of a damaged thing with `isValid: false`; false: enough, or nobody reads on. */
  row(kind: string, row: Row): Promise<boolean>
  /** What a file has in all. */
  summary(row: Row): Promise<void>
  /** Something is wrong at a position of a file. */
  problem(path: string, position: number, text: string): Promise<void>
}
