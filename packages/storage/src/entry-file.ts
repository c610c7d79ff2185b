import type { Disk, DiskFile } from '@millrace/base'

/**
 * A file of entries of one size that only grows at its end, or is cut there: the base of the offset and time indexes. Entries are
 * appended in memory and reach the file with {@link flush}; nothing is read until it is needed, and what has been flushed can be
 * dropped from memory again. A loss of the unflushed part is repaired by recovery from the log (S4).
 *
 * Indexes are not mapped: a failing disk turns a mapped read into SIGBUS, and V8 counts every mapping (docs/adr/0002).
 */
export class EntryFile {
  #path: string
  readonly entryBytes: number
  /** Raised by whatever changes the contents of the file, and by nothing that is in memory only. */
  changeCount: number
  readonly #disk: Disk
  /** Open from the first write to the sync that covers it, so that no write-back error is missed. */
  #file: DiskFile | null
  /** The file was changed, by this process or one before, and closed before a sync: the next one opens it again. */
  #closedUnsynced: boolean
  /** Out of use for good: its name may be another file's. */
  #isGone: boolean
  /** Entries `[firstHeld, count)` are in `#bytes`; -1 as count: the file has not been looked at. */
  #count: number
  #flushedCount: number
  #firstHeld: number
  #bytes: Buffer
  /** Behind what was flushed the file may hold what no entry is to be read from: it was found with a part of one, or a write ended early. */
  #hasExcess: boolean

  constructor(disk: Disk, path: string, entryBytes: number, isNew: boolean) {
    this.#disk = disk
    this.#path = path
    this.entryBytes = entryBytes
    this.changeCount = 0
    this.#file = null
    this.#closedUnsynced = false
    this.#isGone = false
    this.#count = isNew ? 0 : -1
    this.#flushedCount = 0
    this.#firstHeld = 0
    this.#bytes = EMPTY
    this.#hasExcess = false
  }

  get count(): number {
    if (this.#count < 0) this.#look()
    return this.#count
  }

  /** First entry that can be read from {@link heldBytes}. */
  get firstHeld(): number {
    if (this.#count < 0) this.#look()
    return this.#firstHeld
  }

  /** Entries from {@link firstHeld} on, entry `n` at `(n - firstHeld) * entryBytes`. */
  get heldBytes(): Buffer {
    return this.#bytes
  }

  get isFlushed(): boolean {
    return this.#count < 0 || (this.#flushedCount === this.#count && !this.#hasExcess)
  }

  /** The file was written, cut or made, and not synced since, whether or not it is still open; or it has to be cut. */
  get hasUnsyncedFile(): boolean {
    return this.#file !== null || this.#closedUnsynced || this.#hasExcess
  }

  get needsSync(): boolean {
    return this.hasUnsyncedFile || !(this.isFlushed || this.#isGone)
  }

  /** The directory that holds it got another name. */
  moveTo(path: string): void {
    this.#path = path
  }

  /** Bytes of memory that {@link drop} would free. */
  get heldSizeBytes(): number {
    return this.#bytes.length
  }

  /** The next {@link appendSlot} asks nothing of the disk. Throws `DiskError`. */
  prepareAppend(): void {
    if (this.#count < 0) this.#look()
  }

  /** Makes room for one more entry and gives its position in {@link heldBytes}, which must be filled at once. */
  appendSlot(): number {
    const position = (this.count - this.#firstHeld) * this.entryBytes
    if (position + this.entryBytes > this.#bytes.length) this.#grow(position)
    this.#count++
    return position
  }

  /** Copy of entry `slot`, from memory or the file; null if the file ends before it. */
  readEntry(slot: number): Buffer | null {
    const entry = Buffer.alloc(this.entryBytes)
    if (slot >= this.firstHeld) {
      this.#bytes.copy(entry, 0, (slot - this.#firstHeld) * this.entryBytes)
      return entry
    }
    const file = this.#disk.openFile(this.#path, { create: false })
    try {
      const count = file.read(entry, 0, this.entryBytes, slot * this.entryBytes)
      return count === this.entryBytes ? entry : null
    } finally {
      file.close()
    }
  }

  /** Reads all entries into memory. */
  loadNow(): void {
    if (this.firstHeld === 0) return
    const file = this.#disk.openFile(this.#path, { create: false })
    try {
      const bytes = Buffer.alloc(this.#firstHeld * this.entryBytes)
      this.#adopt(bytes, file.read(bytes, 0, bytes.length, 0))
    } finally {
      file.close()
    }
  }

  /** The same off the event loop. */
  async load(): Promise<void> {
    if (this.firstHeld === 0) return
    const file = this.#disk.openFile(this.#path, { create: false })
    try {
      const bytes = Buffer.alloc(this.#firstHeld * this.entryBytes)
      const count = await file.readAsync(bytes, 0, bytes.length, 0)
      if (this.#firstHeld * this.entryBytes === bytes.length) this.#adopt(bytes, count)
    } finally {
      file.close()
    }
  }

  /** Forgets entries that are in the file. */
  drop(): void {
    if (this.#count < 0 || this.#flushedCount <= this.#firstHeld) return
    const start = (this.#flushedCount - this.#firstHeld) * this.entryBytes
    const end = (this.#count - this.#firstHeld) * this.entryBytes
    this.#bytes = start === end ? EMPTY : Buffer.from(this.#bytes.subarray(start, end))
    this.#firstHeld = this.#flushedCount
  }

  /** Gives up the descriptor; what was not synced is not known to be durable. */
  close(): void {
    if (this.#file === null) return
    this.#closedUnsynced = true
    this.#file.close()
    this.#file = null
  }

  /** Gives it up: from now on nothing is written or synced, and no file made. */
  abandon(): void {
    this.close()
    this.#closedUnsynced = false
    this.#hasExcess = false
    this.#isGone = true
  }

  /** Keeps the first `count` entries. The file is cut at once. */
  truncateTo(count: number): void {
    if (count >= this.count) return
    // First, since it may be refused: entries that are forgotten here and still in the file would come back with the next start.
    if ((this.#flushedCount > count || this.#hasExcess) && !this.#isGone) this.#cut(Math.min(count, this.#flushedCount))
    if (count < this.#firstHeld) {
      this.#firstHeld = count
      this.#bytes = EMPTY
    }
    this.#count = count
    this.#flushedCount = Math.min(this.#flushedCount, count)
  }

  /**
   * Reads the file and opens it where {@link truncateTo} or {@link syncNow} might have to: from now on these cannot be refused for want of a
   * descriptor. Throws `DiskError`.
   */
  openToCut(): void {
    this.loadNow()
    if ((this.#flushedCount > 0 || this.#closedUnsynced || this.#hasExcess) && !this.#isGone) this.#open()
  }

  /** Hands the entries that are not in the file yet to it. */
  flush(): void {
    if (this.isFlushed || this.#isGone) return
    if (this.#hasExcess) this.#cut(this.#flushedCount)
    const start = (this.#flushedCount - this.#firstHeld) * this.entryBytes
    const end = (this.#count - this.#firstHeld) * this.entryBytes
    if (start === end) return
    const file = this.#open()
    this.#hasExcess = true
    this.changeCount++
    file.write(this.#bytes, start, end, this.#flushedCount * this.entryBytes)
    this.#hasExcess = false
    this.#flushedCount = this.#count
  }

  /** Makes what has been flushed durable; a directory entry of a new file is the caller's to sync. */
  async sync(): Promise<void> {
    const file = this.#takeUnsynced()
    if (file === null) return
    try {
      await file.syncData()
    } finally {
      file.close()
    }
  }

  syncNow(): void {
    const file = this.#takeUnsynced()
    if (file === null) return
    try {
      file.syncDataNow()
    } finally {
      file.close()
    }
  }

  /** What another process wrote into the file may not be synced: the next sync does it. */
  syncFound(): void {
    if (this.count > 0 && !this.#isGone) this.#closedUnsynced = true
  }

  /** Creates the file if there is none, as Kafka expects of a closed segment. */
  create(): void {
    if (this.count === 0 && !this.#isGone) this.#open()
  }

  /** The file to sync, which is the caller's to close; null if there is nothing to sync. */
  #takeUnsynced(): DiskFile | null {
    const file = this.#closedUnsynced ? this.#open() : this.#file
    this.#closedUnsynced = false
    this.#file = null
    return file
  }

  /** What is not a whole entry does not count, and is cut off with the next change. */
  #look(): void {
    const sizeBytes = this.#disk.stat(this.#path)?.sizeBytes ?? 0
    this.#count = Math.floor(sizeBytes / this.entryBytes)
    this.#hasExcess = this.#count * this.entryBytes < sizeBytes
    this.#flushedCount = this.#count
    this.#firstHeld = this.#count
  }

  #cut(count: number): void {
    const file = this.#open()
    this.changeCount++
    file.truncate(count * this.entryBytes)
    this.#hasExcess = false
  }

  #open(): DiskFile {
    this.#file ??= this.#disk.openFile(this.#path, { create: true })
    return this.#file
  }

  #grow(usedBytes: number): void {
    const grown = Buffer.alloc(Math.max(INITIAL_ENTRIES * this.entryBytes, this.#bytes.length * 2))
    this.#bytes.copy(grown, 0, 0, usedBytes)
    this.#bytes = grown
  }

  #adopt(older: Buffer, readBytes: number): void {
    const wholeCount = Math.floor(readBytes / this.entryBytes)
    if (wholeCount < this.#firstHeld) {
      this.#onShortFile()
      return
    }
    const heldBytes = (this.#count - this.#firstHeld) * this.entryBytes
    this.#bytes = Buffer.concat([older, this.#bytes.subarray(0, heldBytes)])
    this.#firstHeld = 0
  }

  /** Someone cut the file under us: what is left in memory still serves, look-ups before it start at the segment's head. */
  #onShortFile(): void {
    const held = this.#bytes.subarray(0, (this.#count - this.#firstHeld) * this.entryBytes)
    this.#bytes = Buffer.from(held)
    this.#count -= this.#firstHeld
    this.#flushedCount = Math.max(0, this.#flushedCount - this.#firstHeld)
    this.#firstHeld = 0
  }
}

const EMPTY = Buffer.alloc(0)
const INITIAL_ENTRIES = 16
