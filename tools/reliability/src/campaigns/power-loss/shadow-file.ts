import type { Fate } from './fate.ts'

export const PAGE_BYTES = 4096
export const SECTOR_BYTES = 512

/** What a sync that runs will have made durable when it ends. */
interface PendingSync {
  /** Syncs of a file are numbered as they began. */
  readonly number: number
  readonly sizeBytes: number
  readonly sizeCount: number
  readonly pages: ReadonlyMap<number, { readonly version: number; readonly bytes: Buffer }>
}

/**
 * A file as its writer sees it, and what of that a power cut would leave at least. Between the two are pages that were changed since
 * they were last synced, and the sizes that the file had meanwhile.
 */
export class ShadowFile {
  /** The live contents; longer than the file, zeros behind its end. */
  #live: Buffer
  #sizeBytes: number
  /** Null while nothing was changed since the last power cut: then the live contents are durable. */
  #durable: Buffer | null
  #durableSizeBytes: number
  /** Pages that differ, or may, by number, with a version that grows with each change. */
  readonly #dirty: Map<number, number>
  #version: number
  /** Since the last sync; the durable one comes first. */
  #sizes: number[]
  /** How many sizes were dropped from the front of the list by syncs. */
  #droppedSizeCount: number
  readonly #pending: Map<number, PendingSync>
  #begunCount: number
  /** Number of the latest sync that has ended. */
  #endedNumber: number
  /** The durable bytes may be written to: they are no longer those that the live ones began as. */
  #ownsDurable: boolean

  constructor(contents: Buffer = Buffer.alloc(0)) {
    this.#live = contents
    this.#sizeBytes = contents.length
    this.#durable = null
    this.#durableSizeBytes = contents.length
    this.#dirty = new Map()
    this.#version = 0
    this.#sizes = [contents.length]
    this.#droppedSizeCount = 0
    this.#pending = new Map()
    this.#begunCount = 0
    this.#endedNumber = 0
    this.#ownsDurable = false
  }

  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** Whether anything was written or resized since it was made. */
  get isTouched(): boolean {
    return this.#version > 0
  }

  get unsyncedPageCount(): number {
    return this.#dirty.size
  }

  /** A view of what a reader sees now. */
  contents(): Buffer {
    return this.#live.subarray(0, this.#sizeBytes)
  }

  write(bytes: Buffer, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    this.#own(end)
    bytes.copy(this.#live, position)
    if (end > this.#sizeBytes) this.#setSize(end)
    this.#touch(position, end)
  }

  resize(sizeBytes: number): void {
    const before = this.#sizeBytes
    this.#own(sizeBytes)
    if (sizeBytes < before) this.#live.fill(0, sizeBytes, before)
    this.#setSize(sizeBytes)
    // Pages that are cut off are dropped; of the one that the cut goes through, the system zeroes the rest.
    const cutEnd = Math.min(before, Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES)
    this.#touch(Math.min(before, sizeBytes), Math.max(cutEnd, sizeBytes))
  }

  beginSync(token: number): void {
    const pages = new Map<number, { version: number; bytes: Buffer }>()
    for (const [page, version] of this.#dirty) pages.set(page, { version, bytes: this.#copyOfPage(page) })
    const sizeCount = this.#droppedSizeCount + this.#sizes.length
    this.#begunCount++
    this.#pending.set(token, { number: this.#begunCount, sizeBytes: this.#sizeBytes, sizeCount, pages })
  }

  endSync(token: number, isKept: boolean): void {
    const synced = this.#pending.get(token)
    this.#pending.delete(token)
    if (synced === undefined || !isKept || !this.isTouched) return
    // One that began later has ended before, and covers this one.
    if (synced.number < this.#endedNumber) return
    this.#endedNumber = synced.number
    const coveredCount = synced.sizeCount - 1 - this.#droppedSizeCount
    const durable = this.#ownDurable(Math.max(synced.sizeBytes, this.#durableSizeBytes))
    if (synced.sizeBytes < this.#durableSizeBytes) durable.fill(0, synced.sizeBytes)
    for (const [page, { version, bytes }] of synced.pages) {
      if (page * PAGE_BYTES < durable.length) bytes.copy(durable, page * PAGE_BYTES)
      if (this.#dirty.get(page) === version) this.#dirty.delete(page)
    }
    this.#durableSizeBytes = synced.sizeBytes
    this.#sizes.splice(0, coveredCount)
    this.#droppedSizeCount += coveredCount
  }

  /** The file that a power cut leaves: one of its sizes, and of the unsynced pages those that fate keeps, whole or in part. */
  afterPowerCut(fate: Fate): ShadowFile {
    if (!this.isTouched) return this
    const slot = fate.choosePrefix(this.#sizes.length - 1)
    const sizeBytes = this.#sizes[slot]!
    const contents = Buffer.alloc(sizeBytes)
    const durable = this.#durable ?? this.#live
    // What was cut off in between does not come back when the file grows again.
    const keptBytes = Math.min(this.#durableSizeBytes, ...this.#sizes.slice(0, slot + 1))
    durable.copy(contents, 0, 0, keptBytes)
    for (const page of this.#dirty.keys()) {
      const start = page * PAGE_BYTES
      for (const [from, to] of fate.keptSectors(PAGE_BYTES / SECTOR_BYTES)) {
        const end = Math.min(start + to * SECTOR_BYTES, sizeBytes, this.#live.length)
        const begin = start + from * SECTOR_BYTES
        if (begin < end) this.#live.copy(contents, begin, begin, end)
      }
    }
    return new ShadowFile(contents)
  }

  #copyOfPage(page: number): Buffer {
    const bytes = Buffer.alloc(PAGE_BYTES)
    this.#live.copy(bytes, 0, page * PAGE_BYTES, Math.min((page + 1) * PAGE_BYTES, this.#live.length))
    return bytes
  }

  #setSize(sizeBytes: number): void {
    this.#version++
    if (sizeBytes === this.#sizeBytes) return
    this.#sizeBytes = sizeBytes
    this.#sizes.push(sizeBytes)
  }

  #touch(start: number, end: number): void {
    this.#version++
    for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++)
      this.#dirty.set(page, this.#version)
  }

  /** Makes the live contents ones of our own, with room for so many bytes. */
  #own(neededBytes: number): void {
    if (this.#durable === null) this.#durable = this.#live
    else if (neededBytes <= this.#live.length) return
    const grown = Buffer.alloc(
      Math.max(neededBytes, Math.min(this.#live.length * 2, this.#live.length + (1 << 20)), PAGE_BYTES),
    )
    this.#live.copy(grown, 0, 0, this.#sizeBytes)
    this.#live = grown
  }

  #ownDurable(neededBytes: number): Buffer {
    const before = this.#durable ?? this.#live
    const roomBytes = Math.ceil(neededBytes / PAGE_BYTES) * PAGE_BYTES
    if (roomBytes <= before.length && this.#ownsDurable) return before
    const grown = Buffer.alloc(Math.max(roomBytes, Math.ceil(before.length / PAGE_BYTES) * PAGE_BYTES))
    before.copy(grown, 0, 0, this.#durableSizeBytes)
    this.#durable = grown
    this.#ownsDurable = true
    return grown
  }
}
