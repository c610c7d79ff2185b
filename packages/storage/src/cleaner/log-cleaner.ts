import { DiskError, type Timer } from '@millrace/base'
import type { FutureLogs } from '../future-logs.ts'
import type { Log } from '../log.ts'
import { closeUnused } from '../log-cutter.ts'
import type { StorageContext } from '../storage-context.ts'
import { type CleanEngine, CleanEngineError } from './clean-orders.ts'
import { type CleanableRange, cleanableRange, compactedRange, isActiveOverdue } from './cleanable-range.ts'
import type { CleanerOptions, CleanerSettings } from './cleaner-settings.ts'
import { LocalCleanEngine } from './local-clean-engine.ts'
import { type CleanEnd, LogClean } from './log-clean.ts'

export interface LogCleanerParts {
  readonly context: StorageContext
  readonly options: CleanerOptions
  readonly futures: FutureLogs
  /** All current ones. */
  logs(): Iterable<Log>
  /** Its compaction reached further: that is to be noted. */
  onCleaned(log: Log): void
  /** Of the directory that holds the log. */
  onDiskError(log: Log, error: DiskError): void
}

/** What operators see of compaction. */
export interface CleanerStatus {
  /** Largest share of a log that waits for compaction, in percent, as of the last look. */
  readonly maxDirtyPercent: number
  /** Logs that cannot be compacted as they are. */
  readonly uncleanableCount: number
  readonly uncleanableBytes: number
  /** Since the last look for what is to be compacted began; 0 while one or a clean is under way. */
  readonly timeSinceLastRunMs: number
  /** Work that broke off for another reason than the disk's since the start. */
  readonly brokenCount: number
  readonly cleanedCount: number
  readonly readBytes: number
  readonly writtenBytes: number
  /** Of the last clean: share of the bytes that it kept, and of the memory for keys that it needed, in percent. */
  readonly recopyPercent: number
  readonly bufferPercent: number
  /** Bytes that keys take now. */
  readonly memoryBytes: number
  readonly maxCleanMs: number
}

/** How long logs are looked at without letting anything else happen. */
const SLICE_MS = 4
/** A log that could not be compacted is left alone for so long, and twice as long after each failure, up to the second. */
const COOL_MS = 30_000
const COOL_MS_MAX = 3_600_000

interface Cooling {
  readonly untilMs: number
  readonly failureCount: number
  /** Of the log: what is repaired, or cut, is tried again at once. */
  readonly generation: number
}

interface Candidate {
  readonly log: Log
  readonly range: CleanableRange
}

/**
 * Compacts logs, the dirtiest first, those with overdue records before all others; as many at a time as there are threads. A log that
 * cannot be compacted is left alone for a while, longer each time, and costs the others nothing. Logs that are on their way to another
 * directory are left alone, and what was begun of them is given up, until they are there.
 */
export class LogCleaner {
  readonly #parts: LogCleanerParts
  readonly #workers: CleanWorker[]
  /** Partition directories that are being compacted: a new log may have the place of one that was just deleted. */
  readonly #busyPaths: Set<string>
  readonly #cooling: WeakMap<Log, Cooling>
  /** The look for candidates under way: one at a time. */
  #picking: Promise<unknown>
  #timer: Timer | null
  #isStarted: boolean
  #isStopped: boolean
  #status: Omit<CleanerStatus, 'timeSinceLastRunMs' | 'memoryBytes'>
  #lastRunMs: number

  constructor(parts: LogCleanerParts) {
    this.#parts = parts
    this.#workers = []
    this.#busyPaths = new Set()
    this.#cooling = new WeakMap()
    this.#picking = Promise.resolve()
    this.#timer = null
    this.#isStarted = false
    this.#isStopped = false
    this.#status = NOTHING_DONE
    this.#lastRunMs = parts.context.clock.monotonicMs()
  }

  get status(): CleanerStatus {
    const isRunning = this.#workers.some(({ running }) => running !== null)
    const timeSinceLastRunMs = isRunning ? 0 : this.#parts.context.clock.monotonicMs() - this.#lastRunMs
    const memoryBytes = this.#workers.reduce((sum, { engine }) => sum + (engine?.memoryBytes ?? 0), 0)
    return { ...this.#status, timeSinceLastRunMs, memoryBytes }
  }

  /** From now on logs are compacted: not before they have the configuration of their topics. */
  start(): void {
    if (this.#isStarted || this.#isStopped) return
    this.#isStarted = true
    this.#timer = this.#parts.context.timers.setTimer(this.#settings.backoffMs, () => this.#onTimer())
  }

  /** Nothing is begun any more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    this.#timer = null
    for (const { engine } of this.#workers) engine?.abort()
    await Promise.all(this.#workers.map(({ running }) => running))
    for (const { engine } of this.#workers) engine?.close()
  }

  /** Compacts until no log needs it. For tests, and what the timer does. */
  async runOnce(): Promise<void> {
    const { threadCount, enabled } = this.#settings
    if (!enabled || this.#isStopped) return
    while (this.#workers.length < threadCount) this.#workers.push({ engine: null, running: null })
    const idle = this.#workers.slice(0, threadCount).filter(({ running }) => running === null)
    await Promise.all(
      idle.map((worker) => {
        worker.running = this.#work(worker).finally(() => {
          worker.running = null
        })
        return worker.running
      }),
    )
  }

  get #settings(): CleanerSettings {
    return this.#parts.options.settings()
  }

  #onTimer(): void {
    this.#timer = null
    // What breaks is counted, and tried again with the next timer.
    void this.runOnce()
    if (!this.#isStopped) {
      this.#timer = this.#parts.context.timers.setTimer(Math.max(1, this.#settings.backoffMs), () => this.#onTimer())
    }
  }

  /** Compacts one log after the other, until there is none that needs it. */
  async #work(worker: CleanWorker): Promise<void> {
    while (!this.#isStopped && this.#settings.enabled) {
      this.#lastRunMs = this.#parts.context.clock.monotonicMs()
      // With fewer threads each has a larger share: none must go on that is not counted any more.
      const candidate = this.#isSurplus(worker) ? null : await this.#pick()
      if (candidate === null) {
        // Thread and memory are given back until they are needed again.
        worker.engine?.close()
        worker.engine = null
        return
      }
      try {
        await this.#clean(worker, candidate)
      } finally {
        this.#busyPaths.delete(candidate.log.path)
        this.#busyPaths.delete(candidate.path)
      }
    }
  }

  #isSurplus(worker: CleanWorker): boolean {
    return this.#workers.indexOf(worker) >= this.#settings.threadCount
  }

  async #clean(worker: CleanWorker, { log, range, path }: Picked): Promise<void> {
    const { context, onDiskError } = this.#parts
    const engine = worker.engine ?? this.#createEngine()
    worker.engine = engine
    const startMs = context.clock.monotonicMs()
    const clean = new LogClean({
      context,
      log,
      engine,
      isWanted: () => !this.#isStopped && log.path === path && this.#mayClean(log),
      onDiskError: (error) => onDiskError(log, error),
    })
    try {
      const end = await clean.run(range, this.#limits())
      this.#onEnd(log, end)
    } catch (error) {
      // An engine that broke, with its thread perhaps: the next clean begins with another one. A broken invariant stops the broker.
      if (!(error instanceof CleanEngineError)) throw error
      worker.engine = null
      engine.close()
      this.#status = { ...this.#status, brokenCount: this.#status.brokenCount + 1 }
      this.#onEnd(log, { kind: 'failed', reason: error.message })
    }
    this.#count(clean, context.clock.monotonicMs() - startMs)
  }

  #limits() {
    const { dedupeBufferBytes, loadFactor, ioBufferBytes, maxBytesPerSecond } = this.#settings
    // Of a thread that was picked for just before it became one too many.
    const threadCount = Math.max(1, this.#settings.threadCount)
    return {
      nowMs: this.#parts.context.clock.wallMs(),
      memoryBytes: Math.floor(dedupeBufferBytes / threadCount),
      loadFactor,
      // Half for reading, half for writing.
      ioBufferBytes: Math.floor(ioBufferBytes / threadCount / 2),
      maxBytesPerSecond: maxBytesPerSecond / threadCount,
    }
  }

  #onEnd(log: Log, end: CleanEnd): void {
    const { clock, logger } = this.#parts.context
    const { topic, partition, generation } = log
    if (end.kind === 'cleaned') {
      this.#cooling.delete(log)
      this.#parts.onCleaned(log)
      this.#status = { ...this.#status, cleanedCount: this.#status.cleanedCount + 1 }
      return
    }
    if (end.kind === 'aborted') return
    const failureCount = (this.#cooling.get(log)?.failureCount ?? 0) + 1
    const coolMs = Math.min(COOL_MS * 2 ** (failureCount - 1), COOL_MS_MAX)
    this.#cooling.set(log, { untilMs: clock.monotonicMs() + coolMs, failureCount, generation })
    if (end.kind === 'failed')
      logger.warn('log could not be compacted', { topic, partition, reason: end.reason, againMs: coolMs })
  }

  #count({ stats }: LogClean, durationMs: number): void {
    const { readBytes, writtenBytes, maxCleanMs } = this.#status
    this.#status = {
      ...this.#status,
      readBytes: readBytes + stats.readBytes,
      writtenBytes: writtenBytes + stats.writtenBytes,
      recopyPercent: stats.readBytes === 0 ? 0 : Math.round((100 * stats.writtenBytes) / stats.readBytes),
      bufferPercent: Math.round(100 * stats.fill),
      maxCleanMs: Math.max(maxCleanMs, durationMs),
    }
  }

  /** Takes the log that needs it most; null if none does. */
  #pick(): Promise<Picked | null> {
    const picked = this.#picking.then(() => this.#look())
    this.#picking = picked.catch(() => null)
    return picked
  }

  async #look(): Promise<Picked | null> {
    const { context, logs } = this.#parts
    let best: Candidate | null = null
    let maxDirtyRatio = 0
    let uncleanableCount = 0
    let uncleanableBytes = 0
    let sliceStartMs = context.clock.monotonicMs()
    for (const log of [...logs()]) {
      if (this.#isStopped) return null
      if (log.config.cleanupCompact && (this.#isCooling(log) || isDamaged(log))) {
        uncleanableCount++
        uncleanableBytes += log.sizeBytes
      } else if (this.#mayClean(log) && !this.#busyPaths.has(log.path)) {
        const range = await this.#rangeOf(log)
        maxDirtyRatio = Math.max(maxDirtyRatio, range?.dirtyRatio ?? 0)
        const due = range !== null && isDue(log, range) ? range : this.#expiredRangeOf(log)
        if (due !== null && isBefore(due, best?.range ?? null)) best = { log, range: due }
      }
      if (context.clock.monotonicMs() - sliceStartMs < SLICE_MS) continue
      await this.#nextTurn()
      sliceStartMs = context.clock.monotonicMs()
    }
    const maxDirtyPercent = Math.round(100 * maxDirtyRatio)
    this.#status = { ...this.#status, maxDirtyPercent, uncleanableCount, uncleanableBytes }
    if (best === null || !this.#mayClean(best.log)) return null
    this.#busyPaths.add(best.log.path)
    return { ...best, path: best.log.path }
  }

  /** Whether the log is one of those that are compacted, and nothing is in the way now. */
  #mayClean(log: Log): boolean {
    const { futures } = this.#parts
    if (log.failed || log.isFuture || log.isHalfCut || !log.config.cleanupCompact || log.segments.count < 1)
      return false
    if (log.faultyRanges.length > 0) return false
    return futures.get(log.topic, log.partition) === undefined
  }

  #isCooling(log: Log): boolean {
    const cooling = this.#cooling.get(log)
    if (cooling === undefined || cooling.generation !== log.generation) return false
    return this.#parts.context.clock.monotonicMs() < cooling.untilMs
  }

  /** Of a log with tombstones that may go: they are to go although nothing is written to it any more. */
  #expiredRangeOf(log: Log): CleanableRange | null {
    return this.#parts.context.clock.wallMs() < log.compaction.nextHorizonMs ? null : compactedRange(log)
  }

  /** Closes the active segment where its records are overdue. A log that cannot be measured is left alone for a while. */
  async #rangeOf(log: Log): Promise<CleanableRange | null> {
    const nowMs = this.#parts.context.clock.wallMs()
    try {
      if (isActiveOverdue(log, nowMs)) log.roll(log.logEndOffset)
      // After a crash nobody else would, as long as nothing is written.
      if (hasUnsettledEnds(log)) log.checkpointer.request()
      return await cleanableRange(log, nowMs)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      if (log.failed) return null
      if (error.operation !== 'read') this.#parts.onDiskError(log, error)
      this.#onEnd(log, { kind: 'failed', reason: error.message })
      return null
    } finally {
      // Where nothing but the age of records was looked for, nobody else would close their files.
      const { minCompactionLagMs, maxCompactionLagMs } = log.config
      const isAgeAsked = minCompactionLagMs > 0 || maxCompactionLagMs < Number.MAX_SAFE_INTEGER
      if (isAgeAsked && !log.failed) closeUnused(this.#parts.context, log)
    }
  }

  /** Not the storage's own: of a manager that is being closed that never comes, and what is under way is waited for. */
  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#parts.context.timers.setTimer(0, resolve))
  }

  #createEngine(): CleanEngine {
    const { context, options } = this.#parts
    return (
      options.createEngine?.() ??
      new LocalCleanEngine({
        disk: context.disk,
        clock: context.clock,
        timers: context.timers,
        secret: context.random.bytes(16),
        nextTurn: () => this.#nextTurn(),
      })
    )
  }
}

interface Picked extends Candidate {
  /** Partition directory that it had then. */
  readonly path: string
}

interface CleanWorker {
  engine: CleanEngine | null
  running: Promise<void> | null
}

/** Until somebody repairs it, it only grows. */
function isDamaged({ failed, isFuture, faultyRanges }: Log): boolean {
  return !failed && !isFuture && faultyRanges.length > 0
}

function hasUnsettledEnds({ segments: { all, active } }: Log): boolean {
  return all.some((segment) => segment !== active && segment.hasUnsettledEnd)
}

function isDue(log: Log, { dirtyRatio, isOverdue }: CleanableRange): boolean {
  return isOverdue || dirtyRatio > log.config.minCleanableDirtyRatio
}

function isBefore(range: CleanableRange, other: CleanableRange | null): boolean {
  if (other === null || range.isOverdue !== other.isOverdue) return other === null || range.isOverdue
  return range.dirtyRatio > other.dirtyRatio
}

const NOTHING_DONE = {
  maxDirtyPercent: 0,
  uncleanableCount: 0,
  uncleanableBytes: 0,
  brokenCount: 0,
  cleanedCount: 0,
  readBytes: 0,
  writtenBytes: 0,
  recopyPercent: 0,
  bufferPercent: 0,
  maxCleanMs: 0,
}
