import type { Disk, DiskFile, Offset, Uuid } from '@millrace/base'
import { crc32c } from '@millrace/protocol'
import { DURABLE_MARK_FILE } from './file-names.ts'

const HEADER_BYTES = 64
const RECORD_BYTES = 64
const ENTRY_BYTES = 2 * RECORD_BYTES
const MAGIC = 0x4d52444d // "MRDM"
/** Before 2 a mark had no fingerprint: what stood in its place must not be taken for one. */
const VERSION = 2

/** As base offset: that of no segment. */
const NO_SEGMENT = -1

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
  /** Written by a clean shutdown: the log ends exactly here. */
  clean: boolean
  /** At a clean shutdown no producer had state. */
  noProducers: boolean
  /** What the files looked like: after a clean shutdown `fingerprintOfAll`, else `fingerprintOfClosed` up to the recovery point. */
  fingerprint: number
}

/**
 * The durable mark of a log directory (`reliability.md`, 5.2): file `durable-mark`, a header of 64 bytes (magic, version) and one
 * entry a log: two alternating records of 64 bytes, each with checksum and sequence number, so that a torn write leaves the other.
 * Record: crc32c of the rest (u32), sequence (low u32), topic id (16), partition (i32), sequence (high u24) and flags (u8), durable
 * offset, segment base offset, recovery point (i64 each), fingerprint (u32), position (u32). It names what was synced, is written
 * after that and synced at leisure: it may lag, never lead, and no acknowledgement waits for it. The header is written last, once there
 * is an entry for each log with data that was found.
 */
export class DurableMark {
  readonly #disk: Disk
  readonly #directory: string
  readonly #file: DiskFile
  readonly #entries: Map<string, Slot>
  /** Slots without a log, each with the highest sequence it has on disk. */
  readonly #freeSlots: { number: number; sequence: number }[]
  #slotCount: number
  readonly #dirty: Set<Slot>
  readonly #record: Buffer
  /** Entries of which neither record could be read: some log's mark is lost. */
  readonly unreadableCount: number
  /** There was a sound mark before: a log without an entry was never synced. */
  readonly isComplete: boolean
  /** Records written, and how many of them a sync has covered. */
  #writtenCount: number
  #syncedCount: number

  /** Opens the mark of a log directory, or makes one, which counts for nothing before {@link complete}. Throws `DiskError`. */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#entries = new Map()
    this.#freeSlots = []
    this.#dirty = new Set()
    this.#record = Buffer.alloc(RECORD_BYTES)
    this.#writtenCount = 0
    this.#syncedCount = 0
    this.#file = disk.openFile(`${directory}/${DURABLE_MARK_FILE}`, { create: true })
    const contents = Buffer.alloc(this.#file.sizeBytes())
    const readBytes = this.#file.read(contents, 0, contents.length, 0)
    this.#slotCount = Math.ceil(Math.max(0, readBytes - HEADER_BYTES) / ENTRY_BYTES)
    this.unreadableCount = this.#decode(contents.subarray(0, readBytes))
    this.isComplete = readBytes >= HEADER_BYTES && this.unreadableCount === 0
  }

  /**
   * All logs of the directory were found, and each with data has an entry, noted or assumed: from now on one without was never synced.
   * Durable at once, the entries first: a start that was cut short before must not make the next believe it. Throws `DiskError`.
   */
  complete(): void {
    if (this.isComplete) return
    if (this.needsSync) this.syncNow()
    this.#writeHeader()
    this.#file.syncDataNow()
    this.#disk.syncDirectory(this.#directory)
  }

  get needsSync(): boolean {
    return this.#syncedCount < this.#writtenCount || this.#dirty.size > 0
  }

  get(topicId: Uuid, partition: number): DurableMarkEntry | null {
    return this.#entries.get(keyOf(topicId, partition))?.entry ?? null
  }

  /** Notes what was synced; reaches the file with {@link write}. */
  note(
    topicId: Uuid,
    partition: number,
    durableOffset: Offset,
    segmentBaseOffset: Offset,
    positionBytes: number,
  ): void {
    const slot = this.#slotFor(topicId, partition)
    slot.entry.durableOffset = durableOffset
    slot.entry.isAssumed = false
    slot.entry.segmentBaseOffset = segmentBaseOffset
    slot.entry.positionBytes = positionBytes
    slot.entry.clean = false
    slot.entry.noProducers = false
    this.#dirty.add(slot)
  }

  /** Of a log without an entry, a checkpoint says that everything below was synced. Where that ends in the files is not known. */
  assume(topicId: Uuid, partition: number, durableOffset: Offset): void {
    this.note(topicId, partition, durableOffset, NO_SEGMENT, 0)
    this.#slotFor(topicId, partition).entry.isAssumed = true
  }

  /**
   * The log's recovery point rose, or its first segments go. The log is in use: were it still said to be closed cleanly, the next start
   * would not know which of the two fingerprints this is, and could not tell segments that were given up from those it has.
   */
  noteRecoveryPoint(topicId: Uuid, partition: number, recoveryPoint: Offset, fingerprint: number): void {
    const slot = this.#slotFor(topicId, partition)
    slot.entry.recoveryPoint = recoveryPoint
    slot.entry.fingerprint = fingerprint
    slot.entry.clean = false
    slot.entry.noProducers = false
    this.#dirty.add(slot)
  }

  /**
   * The log was opened, and needs no recovery up to `recoveryPoint`: lower than before if files were found changed. Said with the next
   * record written; until then what was on the disk holds, by which the next start would find the same.
   */
  onOpened(topicId: Uuid, partition: number, recoveryPoint: Offset, fingerprint: number): void {
    const { entry } = this.#slotFor(topicId, partition)
    entry.recoveryPoint = recoveryPoint
    entry.fingerprint = fingerprint
  }

  /** The log was closed cleanly at what {@link note} last said. */
  noteClean(topicId: Uuid, partition: number, noProducers: boolean, fingerprint: number): void {
    const slot = this.#slotFor(topicId, partition)
    slot.entry.clean = true
    slot.entry.noProducers = noProducers
    slot.entry.fingerprint = fingerprint
    this.#dirty.add(slot)
  }

  /** Hands noted entries to the file. */
  write(): void {
    for (const slot of this.#dirty) this.#writeRecord(slot)
    this.#dirty.clear()
  }

  async sync(): Promise<void> {
    this.write()
    const writtenCount = this.#writtenCount
    await this.#file.syncData()
    this.#syncedCount = Math.max(this.#syncedCount, writtenCount)
  }

  syncNow(): void {
    this.write()
    this.#file.syncDataNow()
    this.#syncedCount = this.#writtenCount
  }

  /**
   * Lowers an entry before its log is truncated, durably and in both records: neither may go on naming what is about to vanish,
   * or recovery would take the loss for corruption.
   */
  lowerNow(
    topicId: Uuid,
    partition: number,
    durableOffset: Offset,
    segmentBaseOffset: Offset,
    positionBytes: number,
    fingerprint: number,
  ): void {
    const slot = this.#slotFor(topicId, partition)
    if (slot.entry.durableOffset < durableOffset && slot.entry.recoveryPoint <= durableOffset) return
    if (slot.entry.recoveryPoint > durableOffset) {
      slot.entry.recoveryPoint = durableOffset
      slot.entry.fingerprint = fingerprint
    }
    for (let round = 0; round < 2; round++) {
      this.note(topicId, partition, durableOffset, segmentBaseOffset, positionBytes)
      this.syncNow()
    }
  }

  /** The log is gone. */
  remove(topicId: Uuid, partition: number): void {
    const key = keyOf(topicId, partition)
    const slot = this.#entries.get(key)
    if (slot === undefined) return
    this.#entries.delete(key)
    slot.removed = true
    // Both records, or an older one would bring the entry back.
    this.#writeRecord(slot)
    this.#writeRecord(slot)
    this.#dirty.delete(slot)
    this.#freeSlots.push({ number: slot.number, sequence: slot.sequence })
  }

  close(): void {
    this.#file.close()
  }

  #slotFor(topicId: Uuid, partition: number): Slot {
    const key = keyOf(topicId, partition)
    let slot = this.#entries.get(key)
    if (slot === undefined) {
      const { number, sequence } = this.#freeSlots.pop() ?? { number: this.#slotCount++, sequence: 0 }
      slot = { number, sequence, removed: false, entry: emptyEntry(topicId, partition) }
      this.#entries.set(key, slot)
    }
    return slot
  }

  #writeRecord(slot: Slot): void {
    slot.sequence++
    encodeRecord(this.#record, slot)
    const position = HEADER_BYTES + slot.number * ENTRY_BYTES + (slot.sequence & 1) * RECORD_BYTES
    this.#file.write(this.#record, 0, RECORD_BYTES, position)
    this.#writtenCount++
  }

  #writeHeader(): void {
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt32BE(MAGIC, 0)
    header.writeUInt32BE(VERSION, 4)
    this.#file.write(header, 0, HEADER_BYTES, 0)
  }

  /** Fills the entries; returns how many could not be read. A file that is not a mark counts as one of them. */
  #decode(contents: Buffer): number {
    if (contents.length === 0) return 0
    if (contents.length < HEADER_BYTES || contents.readUInt32BE(0) !== MAGIC || contents.readUInt32BE(4) !== VERSION) {
      this.#slotCount = 0
      this.#file.truncate(0)
      return 1
    }
    let unreadableCount = 0
    for (let number = 0; number < this.#slotCount; number++) {
      const position = HEADER_BYTES + number * ENTRY_BYTES
      const slot = decodeSlot(contents.subarray(position, position + ENTRY_BYTES), number)
      if (slot === 'unreadable') unreadableCount++
      if (slot === 'unreadable' || slot === 'empty') this.#freeSlots.push({ number, sequence: 0 })
      else if (slot.removed) this.#freeSlots.push({ number, sequence: slot.sequence })
      else this.#entries.set(keyOf(slot.entry.topicId, slot.entry.partition), slot)
    }
    return unreadableCount
  }
}

interface Slot {
  readonly number: number
  sequence: number
  removed: boolean
  readonly entry: DurableMarkEntry
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}-${partition}`
}

function emptyEntry(topicId: Uuid, partition: number): DurableMarkEntry {
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

function encodeRecord(record: Buffer, slot: Slot): void {
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

/** The newer readable record. */
function decodeSlot(bytes: Buffer, number: number): Slot | 'empty' | 'unreadable' {
  let newest: Slot | null = null
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

function decodeRecord(record: Buffer, number: number): Slot {
  const flags = record.readUInt8(31)
  return {
    number,
    sequence: record.readUIntBE(28, 3) * 2 ** 32 + record.readUInt32BE(4),
    removed: (flags & FLAG_REMOVED) !== 0,
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
