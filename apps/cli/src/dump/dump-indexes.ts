import { readFileSync } from 'node:fs'
import { crc32c, decodeProducerSnapshot, Reader } from '@millrace/protocol'
import type { Row } from '../io/output-format.ts'
import type { DumpOptions, DumpSink } from './dump-sink.ts'
import { type SegmentFacts, segmentFactsOf } from './segment-facts.ts'

const TRANSACTION_ENTRY_BYTES = 34

/** Fields of an entry in the order in which they are shown. */
type IndexEntry = Record<string, number> & { offset: number }

/** What tells one kind of index of a segment from another. */
interface IndexKind<Entry extends IndexEntry> {
  entryBytes: number
  read(bytes: Buffer, at: number, baseOffset: number): Entry
  /** Nothing was written there yet: an entry can only be zero as the very first. */
  isUnused(entry: Entry, baseOffset: number): boolean
  ascends(entry: Entry, last: Entry): boolean
  /** What the segment says against the entry, or null. */
  complaint(entry: Entry, facts: SegmentFacts): string | null
  totals(last: Entry | null): Row
}

/** `.index`: entries of (offset relative to the segment's base, position in the log), int32 each. */
export const offsetIndex: IndexKind<{ offset: number; position: number }> = {
  entryBytes: 8,
  read: (bytes, at, baseOffset) => {
    return { offset: baseOffset + bytes.readInt32BE(at), position: bytes.readInt32BE(at + 4) }
  },
  isUnused: ({ offset, position }, baseOffset) => offset === baseOffset && position === 0,
  ascends: (entry, last) => entry.offset > last.offset && entry.position > last.position,
  complaint({ offset, position }, facts) {
    if (facts.damagedFrom !== null && position >= facts.damagedFrom) return null
    return facts.hasOffsetAt(position, offset) ? null : 'names no batch with that offset'
  },
  totals: (last) => ({ lastOffset: last?.offset ?? -1 }),
}

/** `.timeindex`: entries of (timestamp int64, offset relative to the segment's base int32). */
export const timeIndex: IndexKind<{ timestamp: number; offset: number }> = {
  entryBytes: 12,
  read: (bytes, at, baseOffset) => {
    return { timestamp: Number(bytes.readBigInt64BE(at)), offset: baseOffset + bytes.readInt32BE(at + 8) }
  },
  isUnused: ({ timestamp, offset }, baseOffset) => timestamp === 0 && offset === baseOffset,
  ascends: (entry, last) => entry.timestamp >= last.timestamp && entry.offset >= last.offset,
  complaint({ timestamp, offset }, facts) {
    const maxTimestamp = facts.maxTimestampUpTo(offset)
    return maxTimestamp > timestamp ? `is too old: up to its offset there is a record of ${maxTimestamp}` : null
  },
  totals: (last) => ({ lastTimestamp: last?.timestamp ?? -1 }),
}

/** Prints an index and, when asked, checks its order and every entry against the segment beside it. */
export async function dumpIndex<Entry extends IndexEntry>(
  kind: IndexKind<Entry>,
  path: string,
  baseOffset: number,
  options: DumpOptions,
  sink: DumpSink,
): Promise<void> {
  const bytes = readFileSync(path)
  const facts = options.verify ? await segmentFactsOf(path, baseOffset, sink) : null
  if (facts !== null && facts.damagedFrom !== null) {
    await sink.problem(
      path,
      0,
      `its segment is damaged at position ${facts.damagedFrom}: later entries are not checked`,
    )
  }
  let last: Entry | null = null
  const entries = await eachEntry(path, bytes, kind.entryBytes, sink, async (at) => {
    const entry = kind.read(bytes, at, baseOffset)
    if (at > 0 && kind.isUnused(entry, baseOffset)) return null
    const complaint = facts === null ? null : kind.complaint(entry, facts)
    const order = options.verify && last !== null && !kind.ascends(entry, last) ? 'does not ascend' : null
    for (const text of [order, complaint]) {
      if (text !== null) await sink.problem(path, at, `entry (${Object.values(entry).join(', ')}) ${text}`)
    }
    last = entry
    return { ...entry }
  })
  if (entries !== null) await sink.summary({ file: path, entries, ...kind.totals(last) })
}

/** `.txnindex`: aborted transactions. */
export async function dumpTransactionIndex(path: string, sink: DumpSink): Promise<void> {
  const bytes = readFileSync(path)
  const entries = await eachEntry(path, bytes, TRANSACTION_ENTRY_BYTES, sink, (at) =>
    Promise.resolve({
      version: bytes.readInt16BE(at),
      producerId: bytes.readBigInt64BE(at + 2),
      firstOffset: bytes.readBigInt64BE(at + 10),
      lastOffset: bytes.readBigInt64BE(at + 18),
      lastStableOffset: bytes.readBigInt64BE(at + 26),
    }),
  )
  if (entries !== null) await sink.summary({ file: path, entries })
}

/** `.snapshot`: what the log knows of idempotent producers. int16 version, uint32 CRC-32C of the rest, entries. */
export async function dumpProducerSnapshot(path: string, sink: DumpSink): Promise<void> {
  const bytes = readFileSync(path)
  if (bytes.length < 6) {
    await sink.problem(path, 0, `${bytes.length} bytes are no snapshot`)
    return
  }
  const version = bytes.readInt16BE(0)
  const isValid = bytes.readUInt32BE(2) === crc32c(bytes, 6, bytes.length)
  if (!isValid) await sink.problem(path, 2, 'the checksum does not match')
  const { producerEntries } = decodeProducerSnapshot(new Reader(bytes, 2), version)
  for (const { unknownTaggedFields: _, ...entry } of producerEntries)
    if (!(await sink.row('producer', { ...entry, ...(isValid ? {} : { isValid }) }))) return
  await sink.summary({ file: path, version, producers: producerEntries.length })
}

/** Text files: as they are. */
export async function dumpText(path: string, sink: DumpSink): Promise<void> {
  for (const [number, line] of readFileSync(path, 'utf8').trimEnd().split('\n').entries()) {
    if (!(await sink.row('line', { line: number + 1, text: line }))) return
  }
}

/** Calls `read` at each entry until it gives null; gives the count of entries, null if enough was shown before the end. */
async function eachEntry(
  path: string,
  bytes: Buffer,
  entryBytes: number,
  sink: DumpSink,
  read: (at: number) => Promise<Row | null>,
): Promise<number | null> {
  let count = 0
  for (let at = 0; at + entryBytes <= bytes.length; at += entryBytes) {
    if (!(await sink.step())) return null
    const entry = await read(at)
    if (entry === null) return count
    count++
    if (!(await sink.row('entry', entry))) return null
  }
  const restBytes = bytes.length % entryBytes
  if (restBytes > 0)
    await sink.problem(path, bytes.length - restBytes, `${restBytes} bytes at the end are no whole entry`)
  return count
}
