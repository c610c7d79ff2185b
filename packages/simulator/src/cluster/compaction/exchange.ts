import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import { batchesOf, LogView } from './log-view.ts'
import type { StoredBatch, StoredRecord, StoredSegment } from './stored-batches.ts'

/** A segment that compaction has made is about to take the place of others. */
export interface Exchange {
  /** Of which log of which node. */
  readonly name: string
  /** The log as its files are; the last one is active. */
  readonly segments: readonly StoredSegment[]
  readonly made: StoredSegment
  /** Below it records are deleted, whether or not their files are still there. */
  readonly logStartOffset: number
  /** Everything below is committed, as the node knows it. */
  readonly committedOffset: number
  /** What the node's wall clock says; null: it was set, and nobody knows what it said when. */
  readonly nowMs: number | null
  /** Null: not known. */
  readonly deleteRetentionMs: number | null
  readonly minCompactionLagMs: number
}

/** What an exchange takes away. */
export interface TakenAway {
  recordCount: number
  /** Of those the ones that deleted their keys, and that nothing newer replaces. */
  tombstoneCount: number
  markerCount: number
}

/**
 * Whether a segment may take the place of those that it covers: it holds what is closed and stable and old enough (K3), nothing that was
 * not there, in the order in which it was (K2), and all of it but what is replaced, deleted for long enough or aborted (K1); no deletion goes
 * before what it deleted (K4), and markers and what tells of producers stay as long as they are needed (K5).
 */
export function checkExchange(world: World, exchange: Exchange): TakenAway {
  return new ExchangeCheck(world, exchange).run()
}

class ExchangeCheck {
  readonly #world: World
  readonly #exchange: Exchange
  readonly #view: LogView
  readonly #endOffset: number
  readonly #group: readonly StoredSegment[]
  readonly #made: ReadonlyMap<number, StoredRecord>
  readonly #madeBatches: ReadonlyMap<number, StoredBatch>
  readonly #taken: TakenAway = { recordCount: 0, tombstoneCount: 0, markerCount: 0 }

  constructor(world: World, exchange: Exchange) {
    const { segments, made, committedOffset } = exchange
    this.#world = world
    this.#exchange = exchange
    this.#view = new LogView(segments, committedOffset)
    this.#endOffset = (made.batches.at(-1)?.lastOffset ?? made.baseOffset - 1) + 1
    this.#group = segments.filter(({ baseOffset }) => baseOffset >= made.baseOffset && baseOffset < this.#endOffset)
    this.#made = new Map(made.batches.flatMap(({ records }) => records.map((record) => [record.offset, record])))
    this.#madeBatches = new Map(made.batches.map((batch) => [batch.baseOffset, batch]))
  }

  run(): TakenAway {
    this.#checkRange()
    this.#checkContents()
    this.#checkRecords()
    this.#checkMarkers()
    this.#checkProducers()
    return this.#taken
  }

  #must(condition: boolean, invariant: string, message: () => string): void {
    this.#world.judge(invariant)
    must(condition, invariant, () => `${this.#exchange.name}: ${message()}`)
  }

  #checkRange(): void {
    const { segments, made, nowMs, minCompactionLagMs } = this.#exchange
    const endOffset = this.#endOffset
    this.#must(
      segments.some(({ baseOffset }) => baseOffset === made.baseOffset) && endOffset > made.baseOffset,
      'K3',
      () => {
        return `a new segment [${made.baseOffset}, ${endOffset}) begins where none began`
      },
    )
    this.#must(
      segments.some(({ baseOffset }) => baseOffset === endOffset),
      'K3',
      () => {
        return `a new segment [${made.baseOffset}, ${endOffset}) ends where none begins: the active one is compacted, or offsets are lost`
      },
    )
    const { stableOffset } = this.#view
    this.#must(endOffset <= stableOffset, 'K3', () => {
      return `compacted up to ${endOffset}, stable is all up to ${stableOffset} (committed: ${this.#exchange.committedOffset})`
    })
    if (nowMs === null || minCompactionLagMs === 0) return
    for (const { baseOffset, maxTimestamp } of batchesOf(this.#group)) {
      this.#must(maxTimestamp <= nowMs - minCompactionLagMs, 'K3', () => {
        return `batch ${baseOffset} is compacted ${nowMs - maxTimestamp} ms after its last record`
      })
    }
  }

  /** What is there was there. */
  #checkContents(): void {
    const before = new Map(Array.from(batchesOf(this.#group), (batch) => [batch.baseOffset, batch]))
    let nextOffset = this.#exchange.made.baseOffset
    for (const batch of this.#exchange.made.batches) {
      const { baseOffset, lastOffset, records } = batch
      this.#must(baseOffset >= nextOffset && lastOffset >= baseOffset, 'K2', () => {
        return `batch [${baseOffset}, ${lastOffset}] stands behind ${nextOffset - 1}`
      })
      nextOffset = lastOffset + 1
      // An empty one of nobody only says that offsets go on.
      if (records.length === 0 && batch.producerId < 0) continue
      const former = before.get(baseOffset)
      this.#must(former !== undefined, 'K2', () => `batch ${baseOffset} was not there`)
      if (former === undefined) continue
      this.#must(identityOf(batch) === identityOf(former), 'K2', () => {
        return `batch ${baseOffset} was ${identityOf(former)} and is ${identityOf(batch)}`
      })
      this.#checkHorizon(batch, former)
      this.#checkSameRecords(records, former)
    }
  }

  #checkSameRecords(records: readonly StoredRecord[], former: StoredBatch): void {
    const texts = new Map(former.records.map((record) => [record.offset, textOf(record)]))
    let last = -1
    for (const record of records) {
      this.#must(record.offset > last, 'K2', () => `record ${record.offset} stands behind ${last}`)
      last = record.offset
      this.#must(texts.get(record.offset) === textOf(record), 'K2', () => {
        return `record ${record.offset} was ${texts.get(record.offset) ?? 'nothing'} and is ${textOf(record)}`
      })
    }
  }

  /** How long tombstones and markers stay is said once, and by the clock. */
  #checkHorizon(batch: StoredBatch, former: StoredBatch): void {
    const { nowMs, deleteRetentionMs } = this.#exchange
    const { horizonMs } = batch
    if (former.horizonMs !== null && batch.records.length > 0) {
      this.#must(horizonMs === former.horizonMs, 'K1', () => {
        return `batch ${batch.baseOffset} was to stay until ${former.horizonMs}, now it is ${horizonMs}`
      })
    }
    if (horizonMs === null || nowMs === null || deleteRetentionMs === null) return
    this.#must(
      horizonMs >= former.maxTimestamp + deleteRetentionMs && horizonMs <= nowMs + deleteRetentionMs,
      'K1',
      () => {
        return `batch ${batch.baseOffset} of ${former.maxTimestamp} is to stay until ${horizonMs}, at ${nowMs}`
      },
    )
  }

  /** What is not there any more is not needed any more. */
  #checkRecords(): void {
    const { segments, nowMs, minCompactionLagMs } = this.#exchange
    const youngestMs = nowMs === null ? Number.POSITIVE_INFINITY : nowMs - minCompactionLagMs
    const activeOffset = segments.at(-1)!.baseOffset
    const newest = this.#view.newest(Math.min(this.#view.stableOffset, activeOffset), youngestMs)
    for (const batch of batchesOf(this.#group)) {
      if (batch.isControl) continue
      for (const record of batch.records) {
        const { offset, key } = record
        if (this.#made.has(offset)) continue
        this.#taken.recordCount++
        if (key === null || this.#view.isAborted(offset)) continue
        const successor = newest.get(key) ?? -1
        if (successor > offset) continue
        this.#must(record.value === null, 'K1', () => {
          return `the newest record of key ${key} below ${activeOffset}, at ${offset}, is left out`
        })
        this.#checkTombstone(batch, record)
      }
    }
  }

  #checkTombstone(batch: StoredBatch, { offset, key, timestamp }: StoredRecord): void {
    this.#taken.tombstoneCount++
    this.#must(this.#isExpired(batch, timestamp), 'K1', () => {
      return `the deletion of key ${key} at ${offset}, of ${timestamp}, goes at ${this.#exchange.nowMs}; it was to stay until ${batch.horizonMs}`
    })
    for (const older of this.#view.records()) {
      if (older.offset >= offset) break
      this.#must(older.key !== key || !this.#remains(older.offset), 'K4', () => {
        return `the deletion of key ${key} at ${offset} goes, and its record at ${older.offset} stays`
      })
    }
  }

  #isExpired({ horizonMs }: StoredBatch, timestamp: number): boolean {
    const { nowMs, deleteRetentionMs } = this.#exchange
    if (horizonMs === null) return false
    return nowMs === null || (horizonMs <= nowMs && timestamp + (deleteRetentionMs ?? 0) <= nowMs)
  }

  #remains(offset: number): boolean {
    if (offset < this.#exchange.logStartOffset) return false
    const isCovered = offset >= this.#exchange.made.baseOffset && offset < this.#endOffset
    return !isCovered || this.#made.has(offset)
  }

  /** Without its marker a transaction would be open again, and nobody would know what became of its records. */
  #checkMarkers(): void {
    for (const batch of batchesOf(this.#group)) {
      if (batch.marker === null || this.#madeBatches.get(batch.baseOffset)?.marker === batch.marker) continue
      this.#taken.markerCount++
      this.#must(this.#isExpired(batch, batch.maxTimestamp), 'K5', () => {
        return `marker ${batch.baseOffset} goes at ${this.#exchange.nowMs}; it was to stay until ${batch.horizonMs}`
      })
      const left = this.#view.transactions.get(batch.baseOffset)?.offsets.find((offset) => this.#remains(offset))
      this.#must(left === undefined, 'K5', () => {
        return `marker ${batch.baseOffset} of producer ${batch.producerId} goes, and record ${left} of its transaction stays`
      })
    }
  }

  /** A start, or a new leader, learns from the last batch of each producer which sequence comes next. */
  #checkProducers(): void {
    for (const [producerId, { baseOffset }] of this.#view.lastBatches) {
      if (baseOffset < this.#exchange.made.baseOffset || baseOffset >= this.#endOffset) continue
      this.#must(this.#madeBatches.has(baseOffset), 'K5', () => {
        return `the last batch of producer ${producerId}, at ${baseOffset}, is left out`
      })
    }
  }
}

/** What a batch keeps as long as it is there. */
function identityOf(batch: StoredBatch): string {
  const { lastOffset, leaderEpoch, isTransactional, isControl, producerId, producerEpoch, baseSequence } = batch
  const kind = `${isTransactional ? ' transactional' : ''}${isControl ? ' control' : ''}`
  return `up to ${lastOffset} of epoch ${leaderEpoch}, producer ${producerId}/${producerEpoch}/${baseSequence}${kind}`
}

/** All that a record is; large values at full length, since any byte may have changed. */
export function textOf({ timestamp, key, value, headers }: StoredRecord): string {
  return JSON.stringify([timestamp, key, value, headers])
}
