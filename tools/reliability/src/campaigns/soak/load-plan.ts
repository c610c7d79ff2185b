/** What the soak's load is told. */
export interface LoadPlan {
  readonly port: number
  readonly seed: number
  /** Topic that all codecs go to, with small segments that retention takes away. */
  readonly topic: string
  readonly partitionCount: number
}

/** What it did since it began. */
export interface LoadReport {
  readonly batches: number
  readonly fetches: number
  /** That those who follow the topic have read. */
  readonly records: number
  /** How often one of them was told that its place is out of range: retention was faster. */
  readonly resets: number
  readonly groupCycles: number
  readonly topicCycles: number
  readonly visits: number
  /** The first few of what went wrong: nothing should. */
  readonly errors: readonly string[]
  /** Topics of its own that are there now. */
  readonly topics: readonly string[]
}
