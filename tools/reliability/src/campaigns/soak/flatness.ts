import { percentile, slope } from '../../load/statistics.ts'

/** What was seen in one stretch of the run. */
export interface Window {
  /** The least of it: what the collector had not got to yet is no leak. */
  readonly anonymousBytes: number
  /** Of files and connections. */
  readonly descriptors: number
  readonly mappings: number
  /** Of a neighbour's produces: the p99, or the median where there are too few for that. Null: the host disturbed it too much. */
  readonly latencyMs: number | null
  /** Of the neighbour. */
  readonly produceCount: number
}

/** Growth over the second half of the run, along the straight line that fits it best. */
export interface Growth {
  readonly anonymousBytes: number
  readonly descriptors: number
  readonly mappings: number
  readonly latencyMs: number
  /** Of the second half: what growth of latency is compared with. */
  readonly medianLatencyMs: number
  /** Of the stretches of the second half, those that tell of latency. */
  readonly latencyWindows: number
  readonly windows: number
}

const MIB = 1024 * 1024
/** Of a heap that breathes; a leak of a hundred bytes a request is ten times that in an hour. */
const MAX_ANONYMOUS_BYTES = 24 * MIB
/** Segments come and go: at any time one more or less of each partition is open. */
const MAX_DESCRIPTORS = 12
const MAX_MAPPINGS = 24
/** The share of its median by which the latency may have grown, and what a disk does by itself. */
const MAX_LATENCY_SHARE = 0.5
const LATENCY_NOISE_MS = 3
/** With fewer stretches a line tells nothing. */
const MIN_LATENCY_SHARE = 0.5

export function growthOf(windows: readonly Window[]): Growth {
  const half = windows.slice(Math.floor(windows.length / 2))
  const along = (pick: (window: Window) => number | null) => {
    const points = half.map((window, x) => ({ x, y: pick(window) }))
    return (
      slope(points.filter((point): point is { x: number; y: number } => point.y !== null)) *
      Math.max(0, half.length - 1)
    )
  }
  const latencies = half.map(({ latencyMs }) => latencyMs).filter((each) => each !== null)
  return {
    anonymousBytes: along((window) => window.anonymousBytes),
    descriptors: along((window) => window.descriptors),
    mappings: along((window) => window.mappings),
    latencyMs: along((window) => window.latencyMs),
    medianLatencyMs: percentile(latencies, 0.5),
    latencyWindows: latencies.length,
    windows: half.length,
  }
}

/** Every check of flatness with what it found; null: it held. */
export function judgeGrowth(growth: Growth): (string | null)[] {
  const maxLatencyMs = LATENCY_NOISE_MS + MAX_LATENCY_SHARE * growth.medianLatencyMs
  const mib = (growth.anonymousBytes / MIB).toFixed(1)
  return [
    growth.anonymousBytes <= MAX_ANONYMOUS_BYTES ? null : `anonymous memory grew by ${mib} MiB in the second half`,
    growth.descriptors <= MAX_DESCRIPTORS
      ? null
      : `${growth.descriptors.toFixed(0)} more descriptors in the second half`,
    growth.mappings <= MAX_MAPPINGS ? null : `${growth.mappings.toFixed(0)} more mapped files in the second half`,
    growth.latencyWindows >= growth.windows * MIN_LATENCY_SHARE
      ? null
      : `only ${growth.latencyWindows} of ${growth.windows} stretches tell of latency: the host took processors away in the others`,
    growth.latencyMs <= maxLatencyMs
      ? null
      : `latency grew by ${growth.latencyMs.toFixed(1)} ms in the second half, from ${growth.medianLatencyMs.toFixed(1)} ms`,
  ]
}
