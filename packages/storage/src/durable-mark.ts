import { type Disk, type DiskFile, type Offset, type Uuid, ZERO_UUID } from '@millrace/base'
import {
  type DurableMarkEntry,
  decodeMarkEntry,
  decodeMarkHeader,
  ENTRY_BYTES,
  emptyMarkEntry,
  encodeMarkHeader,
  encodeMarkRecord,
  HEADER_BYTES,
  INCOMPLETE,
  type MarkSlot,
  RECORD_BYTES,
} from './durable-mark-record.ts'
import { DURABLE_MARK_FILE } from './file-names.ts'

/** As base offset: that of no segment. */
const NO_SEGMENT = -1

/** What a sync covers that begins now. */
interface PendingSync {
  number: number
  writtenCount: number
  recordedCount: number
  /** Written since the last sync began, with the recovery point that they name. */
  records: ReadonlyMap<MarkSlot, Offset>
}

/** A place in the file without a log, with the highest sequence that it has there. */
type FreeSlot = Pick<MarkSlot, 'number' | 'sequence' | 'isRecorded'>

/**
 * The durable mark of a log directory (`reliability.md`, 5.2): file `durable-mark`, a header of 64 bytes and one entry a log: two
 * alternating records of 64 bytes, each with checksum and sequence number, so that a torn write leaves the other. It names what was
 * synced, is written after that and synced at leisure: it may lag, never lead, and no acknowledgement waits for it. The first header is
 * written when there is an entry for each log with data that was found. It says how many of the first entries have a record, and is raised
 * once those are on the disk, so that entries which were cut off or wiped out are missed.
 */
export class DurableMark {
  readonly #disk: Disk
  readonly #directory: string
  readonly #file: DiskFile
  readonly #entries: Map<string, MarkSlot>
  readonly #freeSlots: FreeSlot[]
  /** Keys of entries whose removal a crash may undo, and how many records had been written with it. */
  readonly #removals: Map<string, number>
  #slotCount: number
  /**
   * So many of the first slots all have a record in the file, how many of them the header counts, and how many it is to count. -1: there
   * is none that holds. Not how many slots have one: as many new ones as were wiped out would hide that.
   */
  #recordedCount: number
  /** Slots behind those that have one. */
  readonly #recordedAhead: Set<number>
  #headerCount: number
  #wantedCount: number
  readonly #dirty: Set<MarkSlot>
  readonly #record: Buffer
  /** Entries that were there and cannot be read: some log's mark is lost. */
  readonly unreadableCount: number
  /** What is wrong with the file as it was found; null if nothing is, or there was none. */
  readonly damage: string | null
  /** There was none, or nothing that ever counted: another broker's directory, or a new one. */
  readonly wasAbsent: boolean
  /** There was a sound mark before: a log without an entry was never synced. */
  readonly isComplete: boolean
  /** Records written, and how many of them a sync has covered. */
  #writtenCount: number
  #syncedCount: number
  /** Written since the last sync began. */
  #unsynced: Map<MarkSlot, Offset>
  #lastSync: number
  #endedSync: number

  /** Opens the mark of a log directory, or makes one, which counts for nothing before {@link complete}. Throws `DiskError`. */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#entries = new Map()
    this.#freeSlots = []
    this.#removals = new Map()
    this.#slotCount = 0
    this.#recordedCount = 0
    this.#recordedAhead = new Set()
    this.#dirty = new Set()
    this.#record = Buffer.alloc(RECORD_BYTES)
    this.#writtenCount = 0
    this.#syncedCount = 0
    this.#unsynced = new Map()
    this.#lastSync = 0
    this.#endedSync = 0
    this.#file = disk.openFile(`${directory}/${DURABLE_MARK_FILE}`, { create: true })
    const contents = Buffer.alloc(this.#file.sizeBytes())
    const found = contents.subarray(0, this.#file.read(contents, 0, contents.length, 0))
    // A start that was cut short before it wrote the first header left entries that count for nothing.
    const isNew = found.subarray(0, HEADER_BYTES).every((byte) => byte === 0)
    const count = isNew ? null : decodeMarkHeader(found)
    this.unreadableCount = count === null ? 0 : this.#decode(found, count)
    this.damage = isNew ? null : damageOf(count, this.unreadableCount)
    this.isComplete = !isNew && this.damage === null
    this.wasAbsent = isNew
    this.#headerCount = this.isComplete && count !== null ? count : -1
    this.#wantedCount = this.#headerCount
    if (count === null && found.length > 0) this.#file.truncate(0)
    if (count !== null && this.damage !== null && count !== INCOMPLETE) this.#giveUpHeader()
  }

  /**
   * All logs of the directory were found, and each with data has an entry, noted or assumed: from now on one without was never synced.
   * Durable at once, the entries first: a start that was cut short before must not make the next believe it. So is what was noted while
   * the logs were opened. Throws `DiskError`.
   */
  complete(): void {
    this.#fillGaps()
    if (this.needsSync || this.#headerCount < 0) this.syncNow()
    if (this.#headerCount >= 0) return
    this.#wantedCount = this.#recordedCount
    this.#syncOnceNow()
    this.#disk.syncDirectory(this.#directory)
  }

  get needsSync(): boolean {
    return this.#syncedCount < this.#writtenCount || this.#dirty.size > 0 || this.#wantedCount > this.#headerCount
  }

  /** The lowest recovery point that a crash may leave in the entry; 0 if that is not known. */
  syncedRecoveryPoint(topicId: Uuid, partition: number): Offset {
    return this.#entries.get(keyOf(topicId, partition))?.syncedRecoveryPoint ?? 0
  }

  get(topicId: Uuid, partition: number): DurableMarkEntry | null {
    return this.#entries.get(keyOf(topicId, partition))?.entry ?? null
  }

  /** Of all logs that have one. */
  *all(): Iterable<DurableMarkEntry> {
    for (const { entry } of this.#entries.values()) yield entry
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
   * The log was opened, and needs no recovery up to `recoveryPoint`: lower than before where a producer snapshot was lost. Said with the
   * next record written; until then what was on the disk holds, by which the next start would find the same. Not so where it says that the
   * log was closed cleanly: that is taken back before the log may change ({@link complete}), or a crash would leave a fingerprint of all
   * files that nobody can hold against them. That no producer had state stays true until something is synced.
   */
  onOpened(topicId: Uuid, partition: number, recoveryPoint: Offset, fingerprint: number): void {
    const slot = this.#slotFor(topicId, partition)
    slot.entry.recoveryPoint = recoveryPoint
    slot.entry.fingerprint = fingerprint
    if (!slot.entry.clean) return
    slot.entry.clean = false
    this.#dirty.add(slot)
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
    if (this.#wantedCount > this.#headerCount) this.#writeHeader()
  }

  /** Where entries were added, the header counts them with the next sync: {@link needsSync} goes on to say so. Rejects with `DiskError`. */
  async sync(): Promise<void> {
    this.write()
    const pending = this.#beginSync()
    await this.#file.syncData()
    this.#endSync(pending)
  }

  syncNow(): void {
    this.#syncOnceNow()
    if (this.#wantedCount > this.#headerCount) this.#syncOnceNow()
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
    this.#syncBothNow(() => this.note(topicId, partition, durableOffset, segmentBaseOffset, positionBytes))
  }

  /**
   * A start is about to walk the log from `recoveryPoint`, below what the entry says, and to change what its fingerprint counts. Durably
   * before that, in both records, and no clean stop any more: a start after this one, which may be killed, must not believe what this one
   * found wrong or left half built. `fingerprint`: of what is closed below. Throws `DiskError`.
   */
  lowerRecoveryPointNow(topicId: Uuid, partition: number, recoveryPoint: Offset, fingerprint: number): void {
    this.#syncBothNow(() => this.noteRecoveryPoint(topicId, partition, recoveryPoint, fingerprint))
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
    const { number, sequence, isRecorded } = slot
    this.#freeSlots.push({ number, sequence, isRecorded })
    this.#removals.set(key, this.#writtenCount)
  }

  /**
   * Before a log is made: one of its key may have been here before, as when a replica comes back. Neither may it find the entry of that one,
   * which a crash may have kept, nor may a crash give it back. Throws `DiskError`.
   */
  settleRemoval(topicId: Uuid, partition: number): void {
    this.remove(topicId, partition)
    if (this.#removals.has(keyOf(topicId, partition))) this.syncNow()
  }

  close(): void {
    this.#file.close()
  }

  #slotFor(topicId: Uuid, partition: number): MarkSlot {
    const key = keyOf(topicId, partition)
    let slot = this.#entries.get(key)
    if (slot === undefined) {
      const free = this.#freeSlots.pop() ?? { number: this.#slotCount++, sequence: 0, isRecorded: false }
      const { number, sequence, isRecorded } = free
      const entry = emptyMarkEntry(topicId, partition)
      slot = { number, sequence, removed: false, isRecorded, syncedRecoveryPoint: 0, entry }
      this.#entries.set(key, slot)
    }
    return slot
  }

  /** What is noted is in both records of the entry, durably: either could be the one that is left. */
  #syncBothNow(note: () => void): void {
    for (let round = 0; round < 2; round++) {
      note()
      this.syncNow()
    }
  }

  #writeRecord(slot: MarkSlot): void {
    slot.sequence++
    encodeMarkRecord(this.#record, slot)
    const position = HEADER_BYTES + slot.number * ENTRY_BYTES + (slot.sequence & 1) * RECORD_BYTES
    this.#file.write(this.#record, 0, RECORD_BYTES, position)
    this.#writtenCount++
    this.#unsynced.set(slot, slot.entry.recoveryPoint)
    if (slot.isRecorded) return
    slot.isRecorded = true
    this.#onRecorded(slot.number)
  }

  #onRecorded(number: number): void {
    this.#recordedAhead.add(number)
    while (this.#recordedAhead.delete(this.#recordedCount)) this.#recordedCount++
  }

  /** Places that a crash left without a record, between others: from now on those behind them are counted as well. */
  #fillGaps(): void {
    for (const free of this.#freeSlots) {
      if (free.isRecorded) continue
      const slot = { ...free, removed: true, syncedRecoveryPoint: 0, entry: emptyMarkEntry(ZERO_UUID, -1) }
      this.#writeRecord(slot)
      free.sequence = slot.sequence
      free.isRecorded = true
    }
  }

  #writeHeader(): void {
    this.#file.write(encodeMarkHeader(this.#wantedCount), 0, HEADER_BYTES, 0)
    this.#headerCount = this.#wantedCount
    this.#writtenCount++
  }

  /** Until {@link complete} no start may believe the file, whatever is written into it meanwhile. */
  #giveUpHeader(): void {
    this.#file.write(encodeMarkHeader(INCOMPLETE), 0, HEADER_BYTES, 0)
    this.#file.syncDataNow()
  }

  #syncOnceNow(): void {
    this.write()
    const pending = this.#beginSync()
    this.#file.syncDataNow()
    this.#endSync(pending)
  }

  #beginSync(): PendingSync {
    const records = this.#unsynced
    this.#unsynced = new Map()
    this.#lastSync++
    return { number: this.#lastSync, writtenCount: this.#writtenCount, recordedCount: this.#recordedCount, records }
  }

  #endSync({ number, writtenCount, recordedCount, records }: PendingSync): void {
    // One that began later has ended before: it covers this one, and knows better.
    if (number < this.#endedSync) return
    this.#endedSync = number
    this.#syncedCount = writtenCount
    for (const [key, count] of this.#removals) if (count <= writtenCount) this.#removals.delete(key)
    for (const [slot, recoveryPoint] of records) slot.syncedRecoveryPoint = recoveryPoint
    if (this.#headerCount >= 0) this.#wantedCount = Math.max(this.#wantedCount, recordedCount)
  }

  /** Fills the entries; returns how many could not be read of those that must be there, `minCount` at least. */
  #decode(contents: Buffer, minCount: number): number {
    const bytes = contents.length - HEADER_BYTES
    this.#slotCount = Math.ceil(bytes / ENTRY_BYTES)
    const mustCount = minCount === INCOMPLETE ? 0 : minCount
    let unreadableCount = Math.max(0, mustCount - this.#slotCount)
    for (let number = 0; number < this.#slotCount; number++) {
      const position = HEADER_BYTES + number * ENTRY_BYTES
      const slot = decodeMarkEntry(contents.subarray(position, position + ENTRY_BYTES), number)
      const sequence = slot === 'empty' || slot === 'unreadable' ? 0 : slot.sequence
      const isWhole = position + ENTRY_BYTES <= contents.length
      if (number < mustCount && (slot === 'empty' || !isWhole)) unreadableCount++
      if (!isWhole) {
        // Files grow by whole entries: of this one, which was cut, the newer record may be what is missing.
        this.#freeSlots.push({ number, sequence, isRecorded: false })
        continue
      }
      if (slot === 'unreadable') unreadableCount++
      if (slot !== 'empty') this.#onRecorded(number)
      if (slot === 'empty') this.#freeSlots.push({ number, sequence, isRecorded: false })
      else if (slot === 'unreadable') this.#freeSlots.push({ number, sequence, isRecorded: true })
      else if (slot.removed) {
        this.#freeSlots.push(slot)
        // By a process that was killed, perhaps, before it was synced.
        this.#removals.set(keyOf(slot.entry.topicId, slot.entry.partition), 0)
      } else this.#entries.set(keyOf(slot.entry.topicId, slot.entry.partition), slot)
    }
    if (minCount < 0 && bytes % ENTRY_BYTES > 0) unreadableCount++
    return unreadableCount
  }
}

function damageOf(count: number | null, unreadableCount: number): string | null {
  if (count === null) return 'it is no mark, or of a version that is not known'
  if (unreadableCount > 0) return `${unreadableCount} of its entries are missing or cannot be read`
  return count === INCOMPLETE ? 'a start that found it damaged was cut short' : null
}

function keyOf(topicId: Uuid, partition: number): string {
  return `${topicId}-${partition}`
}
