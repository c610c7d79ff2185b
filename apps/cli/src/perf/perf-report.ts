import type { CliContext } from '../command/cli-context.ts'
import type { Row } from '../io/output-format.ts'
import { formatDuration } from '../options/durations.ts'
import { formatBytes, formatNumber } from '../options/numbers.ts'
import { formatMs, type LatencyHistogram } from './latency-histogram.ts'

/** What a run measured. */
export interface PerfResult {
  records: number
  bytes: number
  elapsedMs: number
  /** Processor time of this process. */
  cpuMs: number
  failedRecords: number
  /** Null where no latency was measured. */
  latency: LatencyHistogram | null
  /** What the latency is of. */
  latencyOf: string
}

/** A run that was broken off at once took no time that rates could be of. */
const LEAST_SECONDS = 1e-6

/** Prints a result: a table with a picture, or JSON with every figure. */
export async function printResult(context: CliContext, result: PerfResult): Promise<void> {
  await context.printValue(toData(result), () => toText(result))
}

/** Milliseconds of processor time that this process has used. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function toData({ records, bytes, elapsedMs, cpuMs: usedMs, failedRecords, latency, latencyOf }: PerfResult): Row {
  const seconds = Math.max(elapsedMs / 1000, LEAST_SECONDS)
  return {
    records,
    bytes,
    seconds: Number(seconds.toFixed(3)),
    recordsPerSecond: Math.round(records / seconds),
    mebibytesPerSecond: Number((bytes / seconds / 2 ** 20).toFixed(2)),
    clientCpuSecondsPerMillionRecords: Number(((usedMs / Math.max(1, records)) * 1000).toFixed(3)),
    failedRecords,
    ...(latency === null ? {} : { latencyOf, latency: latency.summary() }),
    ...(latency === null ? {} : { histogram: latency.lines().map((line) => ({ ...line })) }),
  }
}

function toText({ records, bytes, elapsedMs, cpuMs: usedMs, failedRecords, latency, latencyOf }: PerfResult): string {
  const seconds = Math.max(elapsedMs / 1000, LEAST_SECONDS)
  const failed = failedRecords > 0 ? `, ${formatNumber(failedRecords)} FAILED` : ''
  const lines = [
    `${formatNumber(records)} records, ${formatBytes(bytes)} in ${formatDuration(elapsedMs)}${failed}`,
    `${formatNumber(records / seconds)} records/s, ${formatBytes(bytes / seconds)}/s, ` +
      `${((usedMs / Math.max(1, records)) * 1000).toFixed(2)} CPU s per million records here`,
  ]
  if (latency === null || latency.count === 0) return `${lines.join('\n')}\n`
  const figures = [50, 90, 99, 99.9].map((percent) => `p${percent} ${formatMs(latency.percentile(percent))}`)
  lines.push(`${latencyOf}: ${figures.join(', ')}, max ${formatMs(latency.percentile(100))}`)
  return `${lines.join('\n')}\n${latency.picture()}`
}
