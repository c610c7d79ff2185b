import type { Variant, VariantName } from './variant.ts'

/** Where things are and how much to do. */
export interface BenchContext {
  readonly root: string
  /** Folder with the scripts of the Kafka peer and the load generators. */
  readonly peers: string
  /** Folder for brokers' files, programs that were built and frames; on the file system that is measured. */
  readonly work: string
  /** Folder for files of this run only. */
  readonly scratch: string
  /** Factor on the bytes and counts of a run: 1, or less for a quick look. */
  readonly scale: number
}

/** Figures of one run by name. The unit is the name's ending. */
export type Figures = Readonly<Record<string, number>>

/** One thing that is measured on several variants in turn. */
export interface BenchCase {
  readonly group: string
  readonly name: string
  readonly variants: readonly VariantName[]
  /** Makes what the runs need, and warms the broker up. Not measured. */
  prepare(context: BenchContext, variant: Variant): Promise<PreparedCase>
}

export interface PreparedCase {
  /** One measured run. */
  run(): Promise<Figures>
  /** Removes what `prepare` made. */
  dispose(): Promise<void>
}

/** One line of the results file. */
export interface ResultRow {
  readonly group: string
  readonly name: string
  readonly variant: VariantName
  readonly round: number
  /** Of the brokers' and the load's code. */
  readonly commit: string
  readonly figures: Figures
  /** Load average over a minute before the run: other work on the machine shows here. */
  readonly load1: number
}
