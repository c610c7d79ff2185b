import {
  attributesOf,
  BatchCursor,
  baseOffsetOf,
  baseSequenceOf,
  batchCodecOf,
  ControlRecordType,
  codecName,
  controlTypeOf,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetOf,
  maxTimestampOf,
  partitionLeaderEpochOf,
  producerEpochOf,
  producerIdOf,
  RecordReader,
  recordCountOf,
  timestampTypeOf,
} from '@millrace/protocol'
import type { Row } from '../io/output-format.ts'
import type { DumpOptions, DumpSink } from './dump-sink.ts'
import { type WalkedBatch, walkSegment } from './segment-walk.ts'

/** Prints the batches (and records) of a `.log` file and, when asked, checks everything that can be checked in it. */
export async function dumpSegment(
  path: string,
  baseOffset: number,
  options: DumpOptions,
  sink: DumpSink,
): Promise<void> {
  const walk = walkSegment(path)
  let expectedOffset = baseOffset
  let batchCount = 0
  let step = walk.next()
  for (; step.done !== true; step = walk.next()) {
    const batch = step.value
    batchCount++
    if (options.verify) {
      for (const problem of problemsOf(batch, expectedOffset)) await sink.problem(path, batch.position, problem)
    }
    expectedOffset = (batch.magic < 2 ? expectedOffset : lastOffsetOf(batch.buffer, batch.start)) + 1
    if (options.summaryOnly) continue
    if (!(await sink.row('batch', batchRow(batch)))) return
    if (options.records && !(await dumpRecords(path, batch, sink))) return
  }
  const { endPosition, sizeBytes, tail } = step.value
  if (tail === 'torn')
    await sink.problem(path, endPosition, `${sizeBytes - endPosition} bytes at the end are no whole batch`)
  await sink.summary({ file: path, batches: batchCount, endPosition, sizeBytes, tail, nextOffset: expectedOffset })
}

function batchRow({ buffer, start, position, sizeBytes, magic }: WalkedBatch): Row {
  if (magic < 2) return { position, sizeBytes, magic }
  const producerId = producerIdOf(buffer, start)
  return {
    position,
    sizeBytes,
    magic,
    baseOffset: baseOffsetOf(buffer, start),
    lastOffset: lastOffsetOf(buffer, start),
    count: recordCountOf(buffer, start),
    leaderEpoch: partitionLeaderEpochOf(buffer, start),
    codec: codecName(batchCodecOf(buffer, start)) ?? `unknown ${batchCodecOf(buffer, start)}`,
    timestampType: timestampTypeOf(buffer, start),
    maxTimestamp: maxTimestampOf(buffer, start),
    producerId,
    producerEpoch: producerEpochOf(buffer, start),
    baseSequence: baseSequenceOf(buffer, start),
    isTransactional: isTransactionalBatch(buffer, start),
    isControl: isControlBatch(buffer, start),
  }
}

async function dumpRecords(path: string, batch: WalkedBatch, sink: DumpSink): Promise<boolean> {
  const reader = new RecordReader()
  const isControl = batch.magic === 2 && isControlBatch(batch.buffer, batch.start)
  try {
    reader.open(batch.buffer, batch.start)
    while (reader.next()) {
      const row: Row = {
        offset: reader.exactOffset(),
        timestamp: reader.exactTimestamp(),
        keySize: reader.keyLength,
        valueSize: reader.valueLength,
        sequence: reader.sequence,
        ...(isControl ? { marker: markerName(controlTypeOf(reader)) } : {}),
        key: isControl ? null : (reader.key()?.toString('utf8') ?? null),
        value: isControl ? null : (reader.value()?.toString('utf8') ?? null),
        headers: reader.headers().map(({ key, value }) => [key, value?.toString('utf8') ?? null]),
      }
      if (!(await sink.row('record', row))) return false
    }
  } catch (error) {
    await sink.problem(path, batch.position, error instanceof Error ? error.message : String(error))
  }
  return true
}

function markerName(type: number): string {
  const entry = Object.entries(ControlRecordType).find(([, value]) => value === type)
  return entry?.[0] ?? `UNKNOWN ${type}`
}

/** Everything that is wrong with a batch that may follow one that ended before `expectedOffset`. */
function problemsOf(batch: WalkedBatch, expectedOffset: number): string[] {
  const { buffer, start, sizeBytes, magic } = batch
  const problems: string[] = []
  const attempt = (check: () => void) => {
    try {
      check()
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  attempt(() => {
    const cursor = new BatchCursor(buffer, start, start + sizeBytes)
    cursor.next()
    cursor.checkCrc()
  })
  if (magic < 2) return problems
  const baseOffset = baseOffsetOf(buffer, start)
  if (baseOffset < expectedOffset) problems.push(`base offset ${baseOffset} is below the expected ${expectedOffset}`)
  if ((attributesOf(buffer, start) & ~0x7f) !== 0) problems.push('attribute bits that are not defined')
  attempt(() => {
    const reader = new RecordReader()
    reader.open(buffer, start)
    let last = baseOffset - 1
    while (reader.next()) {
      if (reader.offset <= last) problems.push(`offset ${reader.offset} follows ${last}`)
      last = reader.offset
    }
    if (last > lastOffsetOf(buffer, start)) problems.push(`record ${last} is behind the batch's last offset`)
  })
  return problems
}
