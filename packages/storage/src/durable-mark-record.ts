import type { Offset, Uuid } from '@millrace/base'
import { crc32c } from '@millrace/protocol'

export const HEADER_BYTES = 64
export const RECORD_BYTES = 64
export const ENTRY_BYTES = 2 * RECORD_BYTES
const MAGIC = 0x4d52444d // "MRDM"
/** Before 3 the header did not say how many entries there are; before 2 a mark had no fingerprint, for which nothing may be taken. */
const VERSION = 3
const UNCOUNTED_VERSION = 2
/** The checksum of the header stands behind what it covers. */
const HEADER_CRC_POSITION = 12

const FLAG_CLEAN = 1
const FLAG_NO_PRODUCERS = 2
const FLAG_REMOVED = 4
const FLAG_ASSUMED = 8

/** How far one log was synced. */
export interface DurableMarkEntry {
  topicId: Uuid
  partition: number
  /** Everything below was synced. */
  durableOffset: Offset
  /** It was not seen being synced: a checkpoint of the directory says so, which may be old. More may have been. */
  isAssumed: boolean
  /** Segment that holds the end, and how many of its bytes were synced. */
  segmentBaseOffset: Offset
  positionBytes: number
  /** Everything below needs no recovery: indexes, epochs and a producer snapshot of it were synced, too. */
  recoveryPoint: Offset
  /** Written by a clean shutdown, and not opened since: the log ends exactly here. */
  clean: boolean
  /** At the last clean shutdown no producer had state, and nothing was synced since. */
  noProducers: boolean
  /** What the files looked like: after a clean shutdown `fingerprintOfAll`, else `fingerprintOfClosed` up to the recovery point. */
  fingerprint: number
}

/** One place in the file. */
export interface MarkSlot {
  readonly number: number
  sequence: number
  removed: boolean
  /** A record of it is in the file. */
  isRecorded: boolean
  /** As the record on the disk has it at least: that of the last one that was synced. 0: not known. */
  syncedRecoveryPoint: Offset
  readonly entry: DurableMarkEntry
}

/** As the count of a header: a start found entries missing, and was cut short before it had made up for them. */
export const INCOMPLETE = 0xffffffff

/**
 * The header: magic, version, how many of the first entries all have a record in the file, crc32c of these (u32 each), zeros.
 */
export function encodeMarkHeader(recordedCount: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32BE(MAGIC, 0)
  header.writeUInt32BE(VERSION, 4)
  header.writeUInt32BE(recordedCount, 8)
  header.writeUInt32BE(crc32c(header, 0, HEADER_CRC_POSITION), HEADER_CRC_POSITION)
  return header
}

/** How many of the first entries must have a record, -1 if the file is older and does not say. Null: it is no mark, or of a version nobody knows. */
export function decodeMarkHeader(contents: Buffer): number | null {
  if (contents.length < HEADER_BYTES || contents.readUInt32BE(0) !== MAGIC) return null
  const version = contents.readUInt32BE(4)
  if (version === UNCOUNTED_VERSION) return -1
  const isSound = crc32c(contents, 0, HEADER_CRC_POSITION) === contents.readUInt32BE(HEADER_CRC_POSITION)
  return version === VERSION && isSound ? contents.readUInt32BE(8) : null
}

/** Of a log of which nothing is known. */
export function emptyMarkEntry(topicId: Uuid, partition: number): DurableMarkEntry {
  return {
    topicId,
    partition,
    durableOffset: 0,
    isAssumed: false,
    segmentBaseOffset: 0,
    positionBytes: 0,
    recoveryPoint: 0,
    clean: false,
    noProducers: false,
    fingerprint: 0,
  }
}

/**
 * Record: crc32c of the rest (u32), sequence (low u32), topic id (16), partition (i32), sequence (high u24) and flags (u8), durable offset,
 * segment base offset, recovery point (i64 each), fingerprint (u32), position (u32).
 */
export function encodeMarkRecord(record: Buffer, slot: MarkSlot): void {
  const { entry } = slot
  record.fill(0)
  record.writeUInt32BE(slot.sequence % 2 ** 32, 4)
  record.writeUInt32BE(entry.fingerprint, 56)
  record.write(entry.topicId, 8, 16, 'base64url')
  record.writeInt32BE(entry.partition, 24)
  const flags =
    (entry.clean ? FLAG_CLEAN : 0) |
    (entry.noProducers ? FLAG_NO_PRODUCERS : 0) |
    (slot.removed ? FLAG_REMOVED : 0) |
    (entry.isAssumed ? FLAG_ASSUMED : 0)
  record.writeUIntBE(Math.floor(slot.sequence / 2 ** 32), 28, 3)
  record.writeUInt8(flags, 31)
  record.writeBigInt64BE(BigInt(entry.durableOffset), 32)
  record.writeBigInt64BE(BigInt(entry.segmentBaseOffset), 40)
  record.writeBigInt64BE(BigInt(entry.recoveryPoint), 48)
  record.writeUInt32BE(entry.positionBytes, 60)
  record.writeUInt32BE(crc32c(record, 4, RECORD_BYTES), 0)
}

/** The newer readable one of the two records of an entry. 'empty': neither was ever written. */
export function decodeMarkEntry(bytes: Buffer, number: number): MarkSlot | 'empty' | 'unreadable' {
  let newest: MarkSlot | null = null
  let damaged = false
  for (let position = 0; position + RECORD_BYTES <= bytes.length; position += RECORD_BYTES) {
    const record = bytes.subarray(position, position + RECORD_BYTES)
    if (record.every((byte) => byte === 0)) continue
    if (crc32c(record, 4, RECORD_BYTES) !== record.readUInt32BE(0)) {
      damaged = true
      continue
    }
    const slot = decodeRecord(record, number)
    if (newest === null || slot.sequence > newest.sequence) newest = slot
  }
  if (newest !== null) return newest
  return damaged ? 'unreadable' : 'empty'
}

function decodeRecord(record: Buffer, number: number): MarkSlot {
  const flags = record.readUInt8(31)
  return {
    number,
    sequence: record.readUIntBE(28, 3) * 2 ** 32 + record.readUInt32BE(4),
    removed: (flags & FLAG_REMOVED) !== 0,
    isRecorded: true,
    // Written, perhaps, and not synced: the disk may have an older one still.
    syncedRecoveryPoint: 0,
    entry: {
      topicId: record.toString('base64url', 8, 24) as Uuid,
      partition: record.readInt32BE(24),
      durableOffset: Number(record.readBigInt64BE(32)),
      isAssumed: (flags & FLAG_ASSUMED) !== 0,
      segmentBaseOffset: Number(record.readBigInt64BE(40)),
      positionBytes: record.readUInt32BE(60),
      recoveryPoint: Number(record.readBigInt64BE(48)),
      clean: (flags & FLAG_CLEAN) !== 0,
      noProducers: (flags & FLAG_NO_PRODUCERS) !== 0,
      fingerprint: record.readUInt32BE(56),
    },
  }
}
