import {
  baseOffsetOf,
  baseSequenceOf,
  batchCodecOf,
  ControlRecordType,
  CorruptBatchError,
  codecName,
  controlTypeOf,
  isControlBatch,
  isTransactionalBatch,
  maxTimestampOf,
  partitionLeaderEpochOf,
  producerEpochOf,
  producerIdOf,
  RecordReader,
  recordCountOf,
  timestampTypeOf,
} from '@millrace/protocol'
import { bytesField, headerPair } from '../consume/record-format.ts'
import type { Row } from '../io/output-format.ts'
import { lastOffsetIn, problemsOf } from './batch-problems.ts'
import type { DumpOptions, DumpSink } from './dump-sink.ts'
import { findBehindZeros, reasonOf, SegmentWalk, type WalkEnd, type WalkedBatch } from './segment-walk.ts'

/** Prints the batches (and records) of a `.log` file. Checksums are always checked; when asked, everything that can be. */
export async function dumpSegment(
  path: string,
  baseOffset: number,
  options: DumpOptions,
  sink: DumpSink,
): Promise<void> {
  const walk = new SegmentWalk(path)
  // Records that are shown are read anyway: whether they can be stands with their batch.
  const checks = { records: options.verify || options.records, order: options.verify }
  let nextOffset = baseOffset
  let batches = 0
  let corruptBatches = 0
  for (const batch of walk) {
    if (!(await sink.step())) return
    const problems = problemsOf(batch, nextOffset, checks)
    for (const problem of problems) await sink.problem(path, batch.position, problem)
    batches++
    // The offsets of a batch that is not sound would make all later ones wrong.
    if (problems.length === 0) nextOffset = lastOffsetIn(batch) + 1
    else corruptBatches++
    if (options.summaryOnly) continue
    if (!(await sink.row('batch', batchRow(batch, problems)))) return
    if (options.records && !(await dumpRecords(path, batch, problems.length === 0, sink))) return
  }
  const end = walk.end!
  await checkTail(path, end, options, sink)
  const { endPosition, sizeBytes, tail } = end
  await sink.summary({ file: path, batches, corruptBatches, endPosition, sizeBytes, tail, nextOffset })
}

async function checkTail(path: string, end: WalkEnd, options: DumpOptions, sink: DumpSink): Promise<void> {
  const { endPosition, sizeBytes, tail, damage } = end
  const leftBytes = sizeBytes - endPosition
  if (tail === 'torn') await sink.problem(path, endPosition, `${leftBytes} bytes at the end are no whole batch`)
  if (tail === 'damaged') {
    await sink.problem(path, endPosition, `${damage}; the ${leftBytes} bytes from here on cannot be told apart`)
  }
  if (tail === 'preallocated' && options.verify) {
    const position = await findBehindZeros(path, endPosition, () => sink.step())
    if (position !== null)
      await sink.problem(path, position, 'bytes behind zeros: a part of the log is missing before them')
  }
}

function batchRow(batch: WalkedBatch, problems: readonly string[]): Row {
  const { buffer, start, position, sizeBytes, magic } = batch
  const soundness = problems.length === 0 ? { isValid: true } : { isValid: false, problems: [...problems] }
  if (magic < 2) return { position, sizeBytes, magic, lastOffset: lastOffsetIn(batch), ...soundness }
  return {
    position,
    sizeBytes,
    magic,
    baseOffset: baseOffsetOf(buffer, start),
    lastOffset: lastOffsetIn(batch),
    count: recordCountOf(buffer, start),
    leaderEpoch: partitionLeaderEpochOf(buffer, start),
    codec: codecName(batchCodecOf(buffer, start)) ?? `unknown ${batchCodecOf(buffer, start)}`,
    timestampType: timestampTypeOf(buffer, start),
    maxTimestamp: maxTimestampOf(buffer, start),
    producerId: producerIdOf(buffer, start),
    producerEpoch: producerEpochOf(buffer, start),
    baseSequence: baseSequenceOf(buffer, start),
    isTransactional: isTransactionalBatch(buffer, start),
    isControl: isControlBatch(buffer, start),
    ...soundness,
  }
}

/** Prints the records of a batch, of one that is not sound as far as they can be read and marked. False: enough. */
async function dumpRecords(path: string, batch: WalkedBatch, isValid: boolean, sink: DumpSink): Promise<boolean> {
  const reader = new RecordReader()
  const isControl = batch.magic === 2 && isControlBatch(batch.buffer, batch.start)
  try {
    reader.open(batch.buffer, batch.start)
    while (reader.next()) {
      if (!(await sink.row('record', { ...recordRow(reader, isControl), ...(isValid ? {} : { isValid }) })))
        return false
    }
  } catch (error) {
    if (!(error instanceof CorruptBatchError)) throw error
    // What is wrong with a batch that is not sound was told with it.
    if (isValid) await sink.problem(path, batch.position, reasonOf(error))
  }
  return true
}

function recordRow(reader: RecordReader, isControl: boolean): Row {
  return {
    offset: reader.exactOffset(),
    timestamp: reader.exactTimestamp(),
    keySize: reader.keyLength,
    valueSize: reader.valueLength,
    sequence: reader.sequence,
    ...(isControl ? { marker: markerName(controlTypeOf(reader)) } : {}),
    ...bytesField('key', isControl ? null : reader.key()),
    ...bytesField('value', isControl ? null : reader.value()),
    headers: reader.headers().map(headerPair),
  }
}

function markerName(type: number): string {
  const entry = Object.entries(ControlRecordType).find(([, value]) => value === type)
  return entry?.[0] ?? `UNKNOWN ${type}`
}
