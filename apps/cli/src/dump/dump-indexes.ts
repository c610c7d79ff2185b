import { existsSync, readFileSync } from 'node:fs'
import { baseOffsetOf, crc32c, decodeProducerSnapshot, lastOffsetOf, maxTimestampOf, Reader } from '@millrace/protocol'
import type { DumpOptions, DumpSink } from './dump-sink.ts'
import { walkSegment } from './segment-walk.ts'

const OFFSET_ENTRY_BYTES = 8
const TIME_ENTRY_BYTES = 12
const TRANSACTION_ENTRY_BYTES = 34

/** What a segment says about its batches, by position. */
interface SegmentFacts {
  batches: Map<number, { baseOffset: number; lastOffset: number }>
  lastOffset: number
  maxTimestampUpTo: (offset: number) => number
}

/** `.index`: entries of (offset relative to the segment's base, position in the log). */
export async function dumpOffsetIndex(
  path: string,
  baseOffset: number,
  options: DumpOptions,
  sink: DumpSink,
): Promise<void> {
  const bytes = readFileSync(path)
  const facts = options.verify ? segmentFacts(path, sink) : null
  let last = { offset: -1, position: -1 }
  const count = await eachEntry(path, bytes, OFFSET_ENTRY_BYTES, sink, async (at) => {
    const offset = baseOffset + bytes.readInt32BE(at)
    const position = bytes.readInt32BE(at + 4)
    // Preallocated and never used: an entry can only be zero as the very first.
    if (at > 0 && offset === baseOffset && position === 0) return null
    if (options.verify && (offset <= last.offset || position <= last.position)) {
      await sink.problem(path, at, `entry (${offset}, ${position}) does not ascend`)
    }
    const batch = facts?.batches.get(position)
    if (facts !== null && (batch === undefined || offset < batch.baseOffset || offset > batch.lastOffset)) {
      await sink.problem(path, at, `entry (${offset}, ${position}) names no batch with that offset`)
    }
    last = { offset, position }
    return { offset, position }
  })
  await sink.summary({ file: path, entries: count, lastOffset: last.offset })
}

/** `.timeindex`: entries of (timestamp, offset relative to the segment's base). */
export async function dumpTimeIndex(
  path: string,
  baseOffset: number,
  options: DumpOptions,
  sink: DumpSink,
): Promise<void> {
  const bytes = readFileSync(path)
  const facts = options.verify ? segmentFacts(path, sink) : null
  let last = { timestamp: -1, offset: -1 }
  const count = await eachEntry(path, bytes, TIME_ENTRY_BYTES, sink, async (at) => {
    const timestamp = Number(bytes.readBigInt64BE(at))
    const offset = baseOffset + bytes.readInt32BE(at + 8)
    if (at > 0 && timestamp === 0 && offset === baseOffset) return null
    if (options.verify && (timestamp < last.timestamp || offset < last.offset)) {
      await sink.problem(path, at, `entry (${timestamp}, ${offset}) does not ascend`)
    }
    if (facts !== null && facts.maxTimestampUpTo(offset) > timestamp) {
      await sink.problem(path, at, `a record up to offset ${offset} is newer than ${timestamp}`)
    }
    last = { timestamp, offset }
    return { timestamp, offset }
  })
  await sink.summary({ file: path, entries: count, lastTimestamp: last.timestamp })
}

/** `.txnindex`: aborted transactions. */
export async function dumpTransactionIndex(path: string, sink: DumpSink): Promise<void> {
  const bytes = readFileSync(path)
  const count = await eachEntry(path, bytes, TRANSACTION_ENTRY_BYTES, sink, (at) =>
    Promise.resolve({
      version: bytes.readInt16BE(at),
      producerId: bytes.readBigInt64BE(at + 2),
      firstOffset: bytes.readBigInt64BE(at + 10),
      lastOffset: bytes.readBigInt64BE(at + 18),
      lastStableOffset: bytes.readBigInt64BE(at + 26),
    }),
  )
  await sink.summary({ file: path, entries: count })
}

/** `.snapshot`: what the log knows of idempotent producers. int16 version, uint32 CRC-32C of the rest, entries. */
export async function dumpProducerSnapshot(path: string, sink: DumpSink): Promise<void> {
  const bytes = readFileSync(path)
  if (bytes.length < 6) {
    await sink.problem(path, 0, `${bytes.length} bytes are no snapshot`)
    return
  }
  const version = bytes.readInt16BE(0)
  if (bytes.readUInt32BE(2) !== crc32c(bytes, 6, bytes.length))
    await sink.problem(path, 2, 'the checksum does not match')
  const { producerEntries } = decodeProducerSnapshot(new Reader(bytes, 2), version)
  for (const { unknownTaggedFields: _, ...entry } of producerEntries)
    if (!(await sink.row('producer', { ...entry }))) return
  await sink.summary({ file: path, version, producers: producerEntries.length })
}

/** Text files: as they are. */
export async function dumpText(path: string, sink: DumpSink): Promise<void> {
  for (const [number, line] of readFileSync(path, 'utf8').trimEnd().split('\n').entries()) {
    if (!(await sink.row('line', { line: number + 1, text: line }))) return
  }
}

/** Calls `read` at each entry until it gives null; gives the count of entries. */
async function eachEntry(
  path: string,
  bytes: Buffer,
  entryBytes: number,
  sink: DumpSink,
  read: (at: number) => Promise<Record<string, number | bigint> | null>,
): Promise<number> {
  let count = 0
  for (let at = 0; at + entryBytes <= bytes.length; at += entryBytes) {
    const entry = await read(at)
    if (entry === null) return count
    count++
    if (!(await sink.row('entry', entry))) return count
  }
  const restBytes = bytes.length % entryBytes
  if (restBytes > 0)
    await sink.problem(path, bytes.length - restBytes, `${restBytes} bytes at the end are no whole entry`)
  return count
}

/** Walks the segment beside an index. Null if there is none, or it cannot be walked (which its own dump tells). */
function segmentFacts(indexPath: string, sink: DumpSink): SegmentFacts | null {
  const path = indexPath.replace(/\.(time)?index$/, '.log')
  if (!existsSync(path)) return null
  const batches: SegmentFacts['batches'] = new Map()
  const ends: { lastOffset: number; maxTimestamp: number }[] = []
  try {
    for (const { position, buffer, start, magic } of walkSegment(path)) {
      if (magic < 2) return null
      const lastOffset = lastOffsetOf(buffer, start)
      batches.set(position, { baseOffset: baseOffsetOf(buffer, start), lastOffset })
      ends.push({ lastOffset, maxTimestamp: maxTimestampOf(buffer, start) })
    }
  } catch (error) {
    void sink.problem(path, 0, error instanceof Error ? error.message : String(error))
    return null
  }
  const maxTimestampUpTo = (offset: number) =>
    ends.reduce((max, end) => (end.lastOffset <= offset ? Math.max(max, end.maxTimestamp) : max), -1)
  return { batches, lastOffset: ends.at(-1)?.lastOffset ?? -1, maxTimestampUpTo }
}
