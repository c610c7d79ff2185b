import { DiskError, type Offset } from '@millrace/base'
import { CLEANED_SUFFIX } from '../file-names.ts'
import type { Log } from '../log.ts'
import type { Segment } from '../segment.ts'
import { isTemporary } from '../settle-all.ts'
import type { StorageContext } from '../storage-context.ts'
import type { CleanEngine, FoundDamage, RewrittenSegment, Uncleanable, UnreadableBatch } from './clean-orders.ts'
import type { CleanableRange } from './cleanable-range.ts'
import type { CleanLimits } from './log-compaction.ts'
import { groupSegments } from './segment-groups.ts'

/** How a clean of one log ended. */
export type CleanEnd =
  /** Everything below an offset is compacted. */
  | { readonly kind: 'cleaned'; readonly endOffset: Offset }
  /** It was given up: the log changed, or is not to be compacted now. */
  | { readonly kind: 'aborted' }
  /** A segment turned out to be damaged, which its replica's repair now knows. */
  | { readonly kind: 'damaged' }
  /** It cannot be compacted as it is, or not now. */
  | { readonly kind: 'failed'; readonly reason: string }

/** What a clean has done so far. */
export interface CleanStats {
  readBytes: number
  writtenBytes: number
  readRecordCount: number
  keptRecordCount: number
  keylessCount: number
  /** How full the memory for keys was, 0 to 1. */
  fill: number
}

export interface LogCleanParts {
  readonly context: StorageContext
  readonly log: Log
  readonly engine: CleanEngine
  /** Whether the log is still to be compacted, as things are now. */
  isWanted(): boolean
  /** A disk that fails: the directory decides. */
  onDiskError(error: DiskError): void
}

/** Looks whether the work is still wanted while an engine is at it. */
const LOOK_MS = 250
/** Left free beside the copy of a group of segments, so that appends and what recovery needs still have room. */
const SPACE_RESERVE_BYTES = 128 << 20

/** One compaction of one log, from its first segment to the end of the range: keys are indexed, then segments rewritten and exchanged. */
export class LogClean {
  readonly stats: CleanStats
  readonly #parts: LogCleanParts
  #nextHorizonMs: number

  constructor(parts: LogCleanParts) {
    this.stats = { readBytes: 0, writtenBytes: 0, readRecordCount: 0, keptRecordCount: 0, keylessCount: 0, fill: 0 }
    this.#parts = parts
    this.#nextHorizonMs = Number.POSITIVE_INFINITY
  }

  /** Never rejects with a `DiskError`. */
  async run(range: CleanableRange, limits: CleanLimits): Promise<CleanEnd> {
    const { log } = this.#parts
    const { generation } = log
    const isCurrent = (): boolean => !log.failed && generation === log.generation && this.#parts.isWanted()
    try {
      return await this.#run(range, limits, isCurrent)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      return this.#onDiskError(error)
    }
  }

  async #run(range: CleanableRange, limits: CleanLimits, isCurrent: () => boolean): Promise<CleanEnd> {
    const { log, engine } = this.#parts
    await log.compaction.tidy()
    if (!isCurrent()) return { kind: 'aborted' }
    const indexed = await this.#watched(isCurrent, engine.index(log.compaction.orderFor(range, limits)))
    if (!isCurrent() || indexed.kind === 'aborted') return { kind: 'aborted' }
    if (indexed.kind !== 'indexed') return this.#onBadBatch(indexed)
    this.stats.readBytes += indexed.readBytes
    this.stats.fill = indexed.fill
    const { segments } = log
    let endSlot = 0
    while (endSlot + 1 < segments.count && segments.at(endSlot).baseOffset < indexed.endOffset) endSlot++
    for (const group of groupSegments(segments, endSlot, log.config)) {
      const end = await this.#cleanGroup(group, isCurrent)
      if (end !== null) return end
    }
    if (!isCurrent()) return { kind: 'aborted' }
    log.compaction.onCleaned(indexed.endOffset)
    log.compaction.nextHorizonMs = this.#nextHorizonMs
    return { kind: 'cleaned', endOffset: indexed.endOffset }
  }

  /** Null if it was done. */
  async #cleanGroup(group: readonly Segment[], isCurrent: () => boolean): Promise<CleanEnd | null> {
    const { log, engine } = this.#parts
    const { compaction } = log
    if (!isCurrent() || !compaction.holds(group)) return { kind: 'aborted' }
    const neededBytes = group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    if (!this.#hasRoom(neededBytes)) return { kind: 'failed', reason: `no room for a copy of ${neededBytes} bytes` }
    let isSwapped = false
    try {
      const made = await this.#watched(isCurrent, engine.rewrite(compaction.rewriteOrderFor(group)))
      if (made.kind === 'aborted' || !isCurrent()) return { kind: 'aborted' }
      if (made.kind !== 'rewritten') return this.#onBadBatch(made)
      this.#count(made)
      if (made.unreadable !== null) this.#tellUnreadable(made.unreadable)
      if (group.length === 1 && made.isUnchanged) return null
      isSwapped = await compaction.swapIn(group, made, isCurrent)
      if (isSwapped) return null
      return isCurrent() ? { kind: 'failed', reason: 'its segments were being taken away' } : { kind: 'aborted' }
    } finally {
      if (!isSwapped) this.#discard(group)
    }
  }

  /** Once for each log: its batches stay. */
  #tellUnreadable({ segmentBaseOffset, position, reason }: UnreadableBatch): void {
    const { log, context } = this.#parts
    if (log.compaction.isUnreadableTold) return
    log.compaction.isUnreadableTold = true
    const { topic, partition } = log
    const fields = { topic, partition, segmentBaseOffset, position, reason }
    context.logger.warn('a batch that cannot be read stays as it is, with the tombstones behind it', fields)
  }

  #count(made: RewrittenSegment): void {
    this.stats.readBytes += made.readBytes
    this.stats.writtenBytes += made.sizeBytes
    this.stats.readRecordCount += made.readRecordCount
    this.stats.keptRecordCount += made.keptRecordCount
    this.stats.keylessCount += made.keylessCount
    this.#nextHorizonMs = Math.min(this.#nextHorizonMs, made.nextHorizonMs)
  }

  /** Waits for the engine, and has it give up what nobody wants any more: descriptors of a deleted log keep its space. */
  async #watched<Outcome>(isCurrent: () => boolean, work: Promise<Outcome>): Promise<Outcome> {
    const { context, engine } = this.#parts
    let isDone = false
    const look = (): void => {
      if (isDone) return
      if (isCurrent()) context.timers.setTimer(LOOK_MS, look)
      else engine.abort()
    }
    context.timers.setTimer(LOOK_MS, look)
    try {
      return await work
    } finally {
      isDone = true
    }
  }

  #hasRoom(neededBytes: number): boolean {
    const { context, log } = this.#parts
    const { totalBytes, usableBytes } = context.disk.space(log.path)
    return usableBytes >= neededBytes + Math.min(SPACE_RESERVE_BYTES, totalBytes / 20)
  }

  /** Damage is walked for as when a read meets it: who repairs the replica is told, or nothing is found and it was the moment's. */
  async #onBadBatch(found: FoundDamage | Uncleanable): Promise<CleanEnd> {
    const { log, context } = this.#parts
    const { segmentBaseOffset, position } = found
    const fields = { topic: log.topic, partition: log.partition, segmentBaseOffset, position }
    if (found.kind === 'uncleanable') {
      context.logger.error('a batch cannot be compacted', { ...fields, reason: found.reason })
      return { kind: 'failed', reason: found.reason }
    }
    context.logger.error('compaction met a damaged batch', fields)
    const segment = log.segments.all.find(({ baseOffset }) => baseOffset === segmentBaseOffset)
    if (segment === undefined || log.failed) return { kind: 'aborted' }
    segment.soundness.distrust(segment.writtenBytes)
    await segment.soundness.searchDamage()
    return { kind: 'damaged' }
  }

  #discard(group: readonly Segment[]): void {
    try {
      this.#parts.log.compaction.discard(group)
    } catch (error) {
      if (!(error instanceof DiskError)) throw error
      this.#onDiskError(error)
    }
  }

  /**
   * A full disk, or none that can be read, is this log's trouble: nothing was changed, and other logs may fit. Everything else goes to the
   * directory, as what other writers meet does.
   */
  #onDiskError(error: DiskError): CleanEnd {
    const { log, onDiskError } = this.#parts
    if (log.failed) return { kind: 'aborted' }
    if (!isOwn(error) || isTemporary(error)) onDiskError(error)
    return { kind: 'failed', reason: error.message }
  }
}

/**
 * Whether the error says nothing of the log as it is: a place that cannot be read, no space for a copy, or a segment that retention took
 * away meanwhile. A sync that found no space is final (S7), but for that of a copy.
 */
function isOwn({ code, operation, path }: DiskError): boolean {
  if (code === 'DISK_NOT_FOUND' || operation === 'read') return true
  return code === 'DISK_FULL' && (!operation.startsWith('sync') || path.endsWith(CLEANED_SUFFIX))
}
