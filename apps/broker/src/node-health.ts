import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import {
  constants,
  type ELDHistogram,
  monitorEventLoopDelay,
  type PerformanceEntry,
  PerformanceObserver,
  performance,
} from 'node:perf_hooks'
import type { CollectionSample, LoopDelay, MemorySample, ProcessHealth } from '@millrace/broker'

/** How often the loop's delay is sampled. Each sample is one timer in native code: at this period its cost cannot be measured. */
const RESOLUTION_MS = 20
const NANOSECONDS = 1e9
const BUCKETS_SECONDS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
/** Halvings in which a bucket's share of the samples is found, between two percentiles that the histogram tells by itself. */
const SEARCH_STEPS = 8
const DEFAULT_POOL_THREADS = 4

const KINDS: ReadonlyMap<number, string> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak-callbacks'],
])

/** This process's event loop, collector and memory. Delays are measured from its making on, so make it first. */
export class NodeHealth implements ProcessHealth {
  readonly poolThreadCount: number
  readonly #delay: ELDHistogram
  #collections: Map<string, Mutable<CollectionSample>> | null = null

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    const threads = Number(environment.UV_THREADPOOL_SIZE)
    this.poolThreadCount = Number.isInteger(threads) && threads > 0 ? threads : DEFAULT_POOL_THREADS
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    this.#delay.enable()
  }

  loopDelay(): LoopDelay {
    const delay = this.#delay
    const count = delay.count
    const buckets = BUCKETS_SECONDS.map((leSeconds) => ({
      leSeconds,
      count: Math.round(count * shareUpTo(delay, (leSeconds + RESOLUTION_MS / 1000) * NANOSECONDS)),
    }))
    return { buckets, count, sumSeconds: count > 0 ? lateSeconds(delay.mean) * count : 0 }
  }

  longestDelaySeconds(): number {
    return this.#delay.count > 0 ? lateSeconds(this.#delay.max) : 0
  }

  loopTime(): { activeSeconds: number; idleSeconds: number } {
    const { active, idle } = performance.eventLoopUtilization()
    return { activeSeconds: active / 1000, idleSeconds: idle / 1000 }
  }

  processorTime(): { userSeconds: number; systemSeconds: number } {
    const { user, system } = process.cpuUsage()
    return { userSeconds: user / 1e6, systemSeconds: system / 1e6 }
  }

  collections(): readonly CollectionSample[] {
    this.#collections ??= observeCollections()
    return [...this.#collections.values()]
  }

  memory(): MemorySample {
    const { rss, heapUsed, heapTotal, external, arrayBuffers } = process.memoryUsage()
    return { rss, anonymous: anonymousBytes(), heapUsed, heapTotal, external, arrayBuffers }
  }

  /** Linux only. */
  async openDescriptors(): Promise<number | null> {
    if (process.platform !== 'linux') return null
    // One of them is that of the listing itself.
    return (await readdir('/proc/self/fd')).length - 1
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

function observeCollections(): Map<string, Mutable<CollectionSample>> {
  const samples = new Map([...KINDS.values()].map((kind) => [kind, { kind, count: 0, sumSeconds: 0, maxSeconds: 0 }]))
  const add = (entry: PerformanceEntry): void => {
    const kind = (entry as PerformanceEntry & { detail?: { kind?: number } }).detail?.kind ?? 0
    const sample = samples.get(KINDS.get(kind) ?? 'minor')!
    const seconds = entry.duration / 1000
    sample.count++
    sample.sumSeconds += seconds
    sample.maxSeconds = Math.max(sample.maxSeconds, seconds)
  }
  new PerformanceObserver((list) => list.getEntries().forEach(add)).observe({ entryTypes: ['gc'] })
  return samples
}

/** A sample is the time between two looks; what is more than was meant is how late the loop was. */
function lateSeconds(nanoseconds: number): number {
  return Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000)
}

/** Which share of the samples is at most so large: the histogram only tells the value at a percentile, so this searches. */
function shareUpTo(histogram: ELDHistogram, nanoseconds: number): number {
  if (histogram.count === 0 || histogram.min > nanoseconds) return 0
  if (histogram.max <= nanoseconds) return 1
  let low = 0
  let high = 100
  for (const [percentile, value] of histogram.percentiles) {
    if (value <= nanoseconds) low = Math.max(low, percentile)
    else high = Math.min(high, percentile)
  }
  for (let step = 0; step < SEARCH_STEPS; step++) {
    const middle = (low + high) / 2
    if (middle > 0 && histogram.percentile(middle) <= nanoseconds) low = middle
    else high = middle
  }
  return low / 100
}

/** Linux only. */
function anonymousBytes(): number | null {
  if (process.platform !== 'linux') return null
  const kilobytes = /^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  return kilobytes === undefined ? null : Number(kilobytes) * 1024
}

/** How many files and sockets this process may open (`ulimit -n`), or Infinity where it cannot be told. */
export function descriptorLimit(): number {
  if (process.platform !== 'linux') return Number.POSITIVE_INFINITY
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
}
