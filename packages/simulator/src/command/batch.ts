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
  leastVirtualMs = Number.POSITIVE_INFINITY
  operationCount = 0
  leastOperations = Number.POSITIVE_INFINITY
  /** Of seeds with faults. */
  leastFaults = Number.POSITIVE_INFINITY
  processorMs = 0

  constructor(layer: Layer) {
    this.layer = layer
  }

  add(result: RunResult, processorMs: number): void {
    this.seedCount++
    this.processorMs += processorMs
    this.virtualMs += result.virtualMs
    this.eventCount += result.eventCount
    this.operationCount += result.operationCount
    addAll(this.marks, result.marks)
    addAll(this.faults, result.faults)
    addAll(this.judged, result.judged)
    if (result.failure === null) {
      this.leastEvents = Math.min(this.leastEvents, result.eventCount)
      this.leastVirtualMs = Math.min(this.leastVirtualMs, result.virtualMs)
      this.leastOperations = Math.min(this.leastOperations, result.operationCount)
      const faultCount = Object.values(result.faults).reduce((sum, count) => sum + count, 0)
      if (faultCount > 0) this.leastFaults = Math.min(this.leastFaults, faultCount)
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
  const list = (sums: ReadonlyMap<string, number>): string =>
    [...sums]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, sum]) => `${name} ${count(sum)}`)
      .join(', ')
  const lines = [
    `${layer}: ${count(seedCount)} seeds, ${count(batch.failedCount)} failed, ${count(eventCount)} events, ${count(operationCount)} operations`,
    `  least of a seed: ${count(batch.leastEvents)} events, ${count(batch.leastVirtualMs / 1000)} virtual s, ${count(batch.leastOperations)} operations, ${count(batch.leastFaults)} faults where there were any`,
    `  virtual time ${count(virtualMs / 1000)} s, ${count(virtualMs / 1000 / seconds)} times as fast as real`,
    `  ${count(seconds)} s, ${count(perMinute(seedCount, seconds * jobs))} seeds a minute and process, ${count(perMinute(seedCount, batch.processorMs / 1000))} a minute of processor time`,
    `  faults: ${list(faults)}`,
    `  judged: ${list(judged)}`,
    `  marks: ${list(marks)}`,
  ]
  if (missed.length > 0) lines.push(`  MISSED MARKS: ${missed.join(', ')}`)
  return lines.join('\n')
}

function perMinute(seedCount: number, seconds: number): number {
  return seconds > 0 ? (60 * seedCount) / seconds : 0
}

function count(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en') : 'none'
}

/** One line of `docs/simulator-batches.jsonl`. */
export function recordOf(batch: Batch, first: number, seconds: number, jobs: number, missed: readonly string[]) {
  const { layer, seedCount, failedCount, eventCount, operationCount } = batch
  const faultCount = [...batch.faults.values()].reduce((sum, struck) => sum + struck, 0)
  return {
    layer,
    first,
    seeds: seedCount,
    failed: failedCount,
    failedSeeds: batch.failures.map(({ seed }) => seed),
    missedMarks: missed,
    events: eventCount,
    operations: operationCount,
    faults: faultCount,
    virtualSeconds: Math.round(batch.virtualMs / 1000),
    seconds: Math.round(seconds),
    processes: jobs,
    perMinuteAndProcess: Math.round(perMinute(seedCount, seconds * jobs)),
    perMinuteOfProcessorTime: Math.round(perMinute(seedCount, batch.processorMs / 1000)),
  }
}
