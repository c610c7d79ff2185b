import type { Offset, ProducerId } from '@millrace/base'
import { batchCrcOk } from '@millrace/protocol'
import { type Log, ReadResult } from '../index.ts'
import { replayBatches, timestampOf } from './batch-replay.ts'
import { type Evaluations, fail } from './invariant.ts'
import type { ModelBatch } from './log-model.ts'
import type { LogExpectation } from './workload-log.ts'

/**
 * S1 to S3: what the log serves below `endOffset` is, byte for byte, what was appended, each batch where its offsets say and with a
 * checksum that holds; and the log ends where a batch does.
 */
export async function checkContents(
  log: Log,
  expected: LogExpectation,
  endOffset: Offset,
  evaluations: Evaluations,
): Promise<void> {
  const startOffset = Math.max(log.logStartOffset, expected.logStartOffset)
  const kept = expected.batches.filter(({ lastOffset }) => lastOffset < endOffset)
  const out = new ReadResult()
  for (const batch of kept) {
    if (batch.lastOffset >= startOffset) await checkBatch(log, batch, out, evaluations)
  }
  evaluations.S2++
  const end = kept.at(-1)?.lastOffset ?? -1
  if (endOffset > Math.max(end + 1, expected.logStartOffset) && log.sizeBytes > 0) {
    fail('S2', `log ends at ${endOffset}, the last batch appended below is ${end}`)
  }
  const readEnd = await readThrough(log, startOffset, endOffset, kept)
  if (kept.length > 0 && end >= startOffset && readEnd !== end + 1) {
    fail('S2', `reading on from ${startOffset} ends at ${readEnd}, not ${end + 1}`)
  }
}

/** The batch is found by its first and by its last offset. */
async function checkBatch(log: Log, batch: ModelBatch, out: ReadResult, evaluations: Evaluations): Promise<void> {
  const firstOffset = Math.max(batch.baseOffset, log.logStartOffset)
  for (let offset = firstOffset; ; offset = batch.lastOffset) {
    evaluations.S1++
    if (!(await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out))) {
      fail('S1', `read of ${offset}: error ${out.errorCode}`)
    }
    const bytes = out.buffers.length === 1 ? out.buffers[0]! : Buffer.concat(out.buffers)
    if (!bytes.equals(batch.bytes)) fail('S1', `other bytes at ${offset}`)
    evaluations.S3++
    if (!batchCrcOk(bytes, 0)) fail('S3', `checksum does not hold at ${offset}`)
    if (offset === batch.lastOffset) return
  }
}

/** Reads as a consumer does, many batches at a time; gives where nothing more comes. */
async function readThrough(
  log: Log,
  startOffset: Offset,
  endOffset: Offset,
  batches: readonly ModelBatch[],
): Promise<Offset> {
  const out = new ReadResult()
  let offset = startOffset
  while (offset < endOffset) {
    if (!(await log.read(offset, 1 << 20, endOffset, true, out)))
      fail('S2', `read of ${offset}: error ${out.errorCode}`)
    const bytes = Buffer.concat(out.buffers)
    if (bytes.length === 0) return offset
    const from = offset
    const { lastOffset } = out
    const wanted = batches.filter((batch) => batch.lastOffset >= from && batch.lastOffset <= lastOffset)
    if (!bytes.equals(Buffer.concat(wanted.map((batch) => batch.bytes)))) fail('S2', `other bytes from ${offset} on`)
    offset = lastOffset + 1
  }
  return offset
}

/** S4: leader epochs, producers, transactions and look-ups by time are what a scan of the log gives. */
export async function checkDerived(log: Log, expected: LogExpectation, evaluations: Evaluations): Promise<void> {
  const startOffset = Math.max(log.logStartOffset, expected.logStartOffset)
  const kept = expected.batches.filter(({ lastOffset }) => lastOffset < log.logEndOffset)
  const present = kept.filter(({ lastOffset }) => lastOffset >= startOffset)
  evaluations.S4 += 4
  checkEpochs(log, present)
  const wrong = findWrongAborted(log, kept, startOffset) ?? findWrongProducer(log, kept, startOffset)
  if (wrong !== null) fail('S4', wrong)
  await checkTimes(log, present)
}

function checkEpochs(log: Log, present: readonly ModelBatch[]): void {
  for (const { lastOffset, epoch } of present) {
    const found = log.epochOf(lastOffset)
    if (found !== epoch) fail('S4', `epoch ${found} at ${lastOffset}, appended with ${epoch}`)
  }
  for (const { epoch, startOffset } of log.epochs.cache.entries()) {
    // An empty log may know the epoch that ended with it.
    const isBehind = startOffset >= log.logEndOffset && startOffset > log.logStartOffset
    if (isBehind) fail('S4', `epoch ${epoch} starts at ${startOffset}, behind the log's end`)
  }
}

/** Whether producers and open transactions are what a scan of `kept` gives; null, or what is not. */
export function findWrongProducer(log: Log, kept: readonly ModelBatch[], startOffset: Offset): string | null {
  return findWrongEntry(log, kept, startOffset) ?? findWrongOpen(log, kept, startOffset)
}

function findWrongEntry(log: Log, kept: readonly ModelBatch[], startOffset: Offset): string | null {
  const { last } = replayBatches(kept)
  const found = new Map(Array.from(log.producers(), (entry) => [entry.producerId, entry]))
  for (const [producerId, batch] of last) {
    const entry = found.get(producerId)
    // Retention forgets who wrote only what is gone.
    if (entry === undefined && batch.baseOffset < startOffset) continue
    if (entry?.lastDataOffset !== batch.lastOffset && batch.baseOffset >= startOffset) {
      return `producer ${producerId} at offset ${entry?.lastDataOffset}, replay says ${batch.lastOffset}`
    }
  }
  for (const [producerId, entry] of found) {
    const batch = last.get(producerId)
    if (entry.lastDataOffset >= 0 && batch?.lastOffset !== entry.lastDataOffset) {
      return `producer ${producerId} at offset ${entry.lastDataOffset}, its last batch ends at ${batch?.lastOffset}`
    }
  }
  return null
}

interface Transaction {
  producerId: ProducerId
  firstOffset: Offset
}

function findWrongOpen(log: Log, kept: readonly ModelBatch[], startOffset: Offset): string | null {
  const { open, namesOf } = sureTransactions(kept, startOffset)
  const found = namesOf(log.openTransactions())
  return found === namesOf(open) ? null : `open transactions: ${found}; replay says ${namesOf(open)}`
}

function findWrongAborted(log: Log, kept: readonly ModelBatch[], startOffset: Offset): string | null {
  const { aborted, namesOf } = sureTransactions(kept, startOffset)
  const found = namesOf(log.abortedTransactions(log.logStartOffset, log.logEndOffset))
  return found === namesOf(aborted) ? null : `aborted transactions: ${found}; replay says ${namesOf(aborted)}`
}

/**
 * Those that a scan gives, and the names by which any are compared. Those of a producer with a transaction across the start are left out:
 * what is known of it depends on whether a snapshot tells.
 */
function sureTransactions(kept: readonly ModelBatch[], startOffset: Offset) {
  const replay = replayBatches(kept)
  const { aborted } = replay
  const open = Array.from(replay.open, ([producerId, firstOffset]) => ({ producerId, firstOffset }))
  const unsure = new Set<ProducerId>()
  for (const { producerId, firstOffset } of [...aborted, ...open]) if (firstOffset < startOffset) unsure.add(producerId)
  const namesOf = (list: readonly Transaction[]): string =>
    list
      .filter(({ producerId, firstOffset }) => firstOffset >= startOffset && !unsure.has(producerId))
      .sort((left, right) => left.firstOffset - right.firstOffset)
      .map(({ producerId, firstOffset }) => `${producerId} from ${firstOffset}`)
      .join(', ')
  return { aborted, open, namesOf }
}

/** Timestamps looked up, spread over the log: each look-up reads. */
const TIMES_CHECKED = 6

/** The first record at or above some timestamp is in the first batch that has it: all records of a batch share theirs. */
async function checkTimes(log: Log, present: readonly ModelBatch[]): Promise<void> {
  const step = Math.max(1, Math.ceil(present.length / TIMES_CHECKED))
  for (let slot = present.length - 1; slot >= 0; slot -= step) {
    const batch = present[slot]!
    if (present[0]!.baseOffset < log.logStartOffset) return
    const timestamp = timestampOf(batch)
    const first = present.find((candidate) => timestampOf(candidate) >= timestamp)!
    const found = await log.offsetForTimestamp(timestamp, log.logEndOffset)
    // What retention was to take may still be there.
    if (found !== null && found.offset < present[0]!.baseOffset) continue
    if (found?.offset !== first.baseOffset) {
      fail('S4', `timestamp ${timestamp} is found at ${found?.offset}, a scan finds it at ${first.baseOffset}`)
    }
  }
}
