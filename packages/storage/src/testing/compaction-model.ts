import type { Offset, ProducerId } from '@millrace/base'
import type { Log } from '../index.ts'
import { latestOf, readBatches, type StoredBatch, type StoredRecord } from './compacted-log.ts'
import { fail } from './invariant.ts'

/** A batch as it was appended. */
export interface AppendedBatch {
  readonly baseOffset: Offset
  readonly lastOffset: Offset
  readonly records: readonly StoredRecord[]
  /** -1: none. */
  readonly producerId: ProducerId
  readonly baseSequence: number
  readonly isTransactional: boolean
  /** Of an end marker. */
  readonly marker: 'commit' | 'abort' | null
}

/** All that was ever appended to a log and not cut off again: what compaction may leave of it is checked against that. */
export class CompactionModel {
  readonly batches: AppendedBatch[]

  constructor(batches: readonly AppendedBatch[] = []) {
    this.batches = [...batches]
  }

  get endOffset(): Offset {
    const last = this.batches.at(-1)
    return last === undefined ? 0 : last.lastOffset + 1
  }

  cutTo(offset: Offset): void {
    while (this.endOffset > offset) this.batches.pop()
  }

  /** What a reader of committed records has in the end of each key that is not deleted, of what was appended below `endOffset`. */
  latest(endOffset: Offset): Map<string, string> {
    const latest = new Map<string, string>()
    for (const [place, batch] of this.batches.entries()) {
      if (batch.lastOffset >= endOffset) break
      // The marker may stand behind the end.
      if (batch.marker !== null || (batch.isTransactional && endOf(this.batches, place) !== 'commit')) continue
      for (const { key, value } of batch.records) {
        if (value === null) latest.delete(key!)
        else latest.set(key!, value)
      }
    }
    return latest
  }

  /** Producers with an open transaction at `endOffset`. */
  openProducers(endOffset: Offset): ProducerId[] {
    const open = new Set<ProducerId>()
    for (const { lastOffset, producerId, marker, isTransactional } of this.batches) {
      if (lastOffset >= endOffset) break
      if (marker !== null) open.delete(producerId)
      else if (isTransactional) open.add(producerId)
    }
    return [...open].sort()
  }

  /** Last sequence of each producer that sent records below `endOffset`. */
  lastSequences(endOffset: Offset): Map<ProducerId, number> {
    const sequences = new Map<ProducerId, number>()
    for (const { lastOffset, producerId, baseSequence, marker, records } of this.batches) {
      if (lastOffset >= endOffset || producerId < 0 || marker !== null) continue
      sequences.set(producerId, baseSequence + records.length - 1)
    }
    return sequences
  }
}

function endOf(batches: readonly AppendedBatch[], place: number): 'commit' | 'abort' | null {
  const { producerId } = batches[place]!
  return batches.slice(place).find((batch) => batch.producerId === producerId && batch.marker !== null)?.marker ?? null
}

/** Holds what a log has now against all that was appended to it. Throws if anything was lost, changed, or came back. */
export async function checkCompacted(log: Log, model: CompactionModel): Promise<void> {
  const { logEndOffset } = log
  if (log.faultyRanges.length > 0) fail('S5', `damage: ${JSON.stringify(log.faultyRanges)}`)
  log.setHighWatermark(logEndOffset)
  const batches = await readBatches(log)
  checkRecords(batches, model)
  const stable = log.lastStableOffset
  const visible = visibleOf(log, batches, stable)
  same('records by key', latestOf(visible), model.latest(stable))
  same(
    'open producers',
    log
      .openTransactions()
      .map(({ producerId }) => producerId)
      .sort(),
    model.openProducers(logEndOffset),
  )
  const found = new Map([...log.producers()].map(({ producerId, lastSequence }) => [producerId, lastSequence]))
  for (const [producerId, sequence] of model.lastSequences(logEndOffset)) {
    same(`last sequence of producer ${producerId}`, found.get(producerId), sequence)
  }
  await checkTimes(log, batches)
}

/** Each record is what was appended at its offset, in order, in the batch that it was in. */
export function checkRecords(batches: readonly StoredBatch[], model: CompactionModel): void {
  let expected = 0
  for (const { baseOffset, lastOffset, isControl, records } of batches) {
    if (baseOffset < expected) fail('S1', `batch ${baseOffset} comes behind ${expected}`)
    expected = lastOffset + 1
    const appended = model.batches.find((batch) => batch.baseOffset === baseOffset)
    if (appended === undefined || appended.lastOffset !== lastOffset)
      fail('S1', `batch ${baseOffset} was never appended`)
    if (isControl !== (appended.marker !== null)) fail('S1', `batch ${baseOffset} is another one`)
    let last = -1
    for (const record of isControl ? [] : records) {
      if (record.offset <= last) fail('S1', `record ${record.offset} comes behind ${last}`)
      last = record.offset
      same(`record ${record.offset}`, record, appended.records[record.offset - baseOffset])
    }
  }
}

/** What a reader of committed records is given: it leaves out what the log tells it was aborted. */
function visibleOf(log: Log, batches: readonly StoredBatch[], endOffset: Offset): StoredBatch[] {
  const aborted = log.abortedTransactions(log.logStartOffset, endOffset)
  const waiting = aborted.toSorted((left, right) => left.firstOffset - right.firstOffset)
  const ongoing = new Set<ProducerId>()
  const visible: StoredBatch[] = []
  for (const batch of batches) {
    if (batch.lastOffset >= endOffset) break
    while (waiting.length > 0 && waiting[0]!.firstOffset <= batch.lastOffset) ongoing.add(waiting.shift()!.producerId)
    const producerId = Number(batch.header.readBigInt64BE(43))
    const isTransactional = (batch.header[22]! & 0x10) !== 0
    if (batch.isControl) ongoing.delete(producerId)
    else if (!isTransactional || !ongoing.has(producerId)) visible.push(batch)
  }
  return visible
}

/** A look-up by time finds what a scan of all records finds. */
async function checkTimes(log: Log, batches: readonly StoredBatch[]): Promise<void> {
  const records = batches.flatMap((batch) => batch.records)
  for (const { timestamp } of records.slice(0, 20)) {
    const expected = records.find((record) => record.timestamp >= timestamp)!
    const found = await log.offsetForTimestamp(timestamp, log.logEndOffset)
    same(`look-up of time ${timestamp}`, found?.offset, expected.offset)
  }
  const newest = records.reduce((max, { timestamp }) => Math.max(max, timestamp), -1)
  same('the newest record', (await log.offsetOfMaxTimestamp())?.timestamp, newest < 0 ? undefined : newest)
}

function same(what: string, found: unknown, expected: unknown): void {
  const [left, right] = [textsOf(found), textsOf(expected)]
  const surplus = left.filter((text) => !right.includes(text))
  const missing = right.filter((text) => !left.includes(text))
  if (surplus.length > 0 || missing.length > 0) fail('S1', `${what}: has ${surplus}, lacks ${missing}`)
}

function textsOf(value: unknown): string[] {
  return Array.from(value instanceof Map ? value : [value], (entry) => JSON.stringify(entry) ?? 'nothing')
}
