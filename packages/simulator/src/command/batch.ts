import type { Layer, RunResult } from '../run-result.ts'

/** Sums over a batch of seeds. Failures are kept up to a bound; all are counted. */
export class Batch {
  readonly layer: Layer
  readonly marks = new Map<string, number>()
  readonly faults = new Map<string, number>()
  readonly judged = new Map<string, number>()
  readonly failures: RunResult[] = []
  seedCount = 0
  failedCount = 0
  eventCount = 0
  leastEvents = Number.POSITIVE_INFINITY
  virtualMs = 0
  operationCount = 0

  constructor(layer: Layer) {
    this.layer = layer
  }

  add(result: RunResult): void {
    this.seedCount++
    this.virtualMs += result.virtualMs
    this.eventCount += result.eventCount
    this.operationCount += result.operationCount
    addAll(this.marks, result.marks)
    addAll(this.faults, result.faults)
    addAll(this.judged, result.judged)
    if (result.failure === null) {
      this.leastEvents = Math.min(this.leastEvents, result.eventCount)
      return
    }
    this.failedCount++
    if (this.failures.length < FAILURES_MAX) this.failures.push(result)
  }

  /** Marks that were to be hit and were not; empty for a batch too small to tell. */
  missedMarks(required: readonly string[]): string[] {
    return required.filter((mark) => !this.marks.has(mark))
  }
}

const FAILURES_MAX = 100

function addAll(sums: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + count)
}

/** What a batch came to, as text. */
export function summaryOf(batch: Batch, seconds: number, jobs: number, missed: readonly string[]): string {
  const { layer, seedCount, eventCount, virtualMs, faults, judged, marks, operationCount } = batch
  const perMinute = (60 * seedCount) / seconds / jobs
  const count = (value: number): string => Math.round(value).toLocaleString('en')
  const list = (sums: ReadonlyMap<string, number>): string =>
    [...sums]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, sum]) => `${name} ${count(sum)}`)
      .join(', ')
  const lines = [
    `${layer}: ${count(seedCount)} seeds, ${count(batch.failedCount)} failed, ${count(eventCount)} events (least ${count(batch.leastEvents)} a seed), ${count(operationCount)} operations`,
    `  virtual time ${count(virtualMs / 1000)} s, ${count(virtualMs / 1000 / seconds)} times as fast as real`,
    `  ${count(seconds)} s, ${count(perMinute)} seeds a minute and process, ${count(eventCount / seconds)} events a second`,
    `  faults: ${list(faults)}`,
    `  judged: ${list(judged)}`,
    `  marks: ${list(marks)}`,
  ]
  if (missed.length > 0) lines.push(`  MISSED MARKS: ${missed.join(', ')}`)
  return lines.join('\n')
}
