import { assert } from '../errors.ts'
import type { Choices } from './choices.ts'
import { SimulatedPage } from './simulated-page.ts'

export const PAGE_BYTES = 4096
const SECTOR_BYTES = 512
const SECTORS_PER_PAGE = PAGE_BYTES / SECTOR_BYTES

/** Contents of a file at some moment; the bytes behind its end are zeros. */
interface Plane {
  bytes: Buffer
  sizeBytes: number
}

/** Two hashes of 32 bits. */
interface ContentsDigest {
  high: number
  low: number
}

/** A sync under way: what the file held when it began. */
export interface PendingSync extends Plane {
  number: number
  /** Writes before it began. */
  writeCount: number
}

/**
 * A file in two planes: what a reader sees now, and what the medium would hold after a crash at least. Between them are the pages
 * that were changed since the last sync, any of which may or may not have been written back, and the sizes the file had meanwhile.
 */
export class SimulatedInode {
  readonly live: Plane
  /** Its bytes are never changed: they may be those of {@link live}, or of another inode. */
  #durable: Plane
  readonly #dirtyPages: Set<number>
  /** Sizes since the last sync, the durable one first. */
  #sizes: number[]
  #lastSync: number
  #endedSync: number
  modifiedMs: number
  /** End of the highest view that a mapping gave out; nothing below may change while it may be alive. */
  viewedEndBytes: number
  readonly #finePageBytes: number
  /** Changed pages with all that they held since the last sync; only if crashes are fine. */
  readonly #pages: Map<number, SimulatedPage>
  #writeCount: number
  /** The bytes of {@link live} are also those of the durable plane or of a copy: they are copied before they change. */
  #isShared: boolean
  /**
   * The bytes that were copied last because they were shared, and the pages that changed since. Once nothing else holds them they take the
   * next copy, for which those pages are enough: a file that is synced again and again is not copied whole each time.
   */
  #former: Buffer | null
  readonly #formerStalePages: Set<number>
  /** Bytes of {@link live} that another inode holds, too. */
  #foreign: Buffer | null
  /** Syncs under way, the oldest first. */
  #pendingSyncs: PendingSync[]
  /** Of the live contents; null: not known. */
  #digest: ContentsDigest | null

  /** `finePageBytes` above 0: a crash leaves any version that a page of this size had, torn at any sector (see {@link SimulatedPage}). */
  constructor(modifiedMs: number, finePageBytes = 0) {
    this.live = { bytes: Buffer.alloc(0), sizeBytes: 0 }
    this.#durable = { bytes: Buffer.alloc(0), sizeBytes: 0 }
    this.#dirtyPages = new Set()
    this.#sizes = [0]
    this.#lastSync = 0
    this.#endedSync = 0
    this.modifiedMs = modifiedMs
    this.viewedEndBytes = 0
    this.#finePageBytes = finePageBytes
    this.#pages = new Map()
    this.#writeCount = 0
    this.#isShared = false
    this.#former = null
    this.#formerStalePages = new Set()
    this.#foreign = null
    this.#pendingSyncs = []
    this.#digest = null
  }

  get sizeBytes(): number {
    return this.live.sizeBytes
  }

  get dirtyPageCount(): number {
    return this.#dirtyPages.size
  }

  /** It was synced since it was made: a file system may then keep its name, too. */
  get wasSynced(): boolean {
    return this.#endedSync > 0
  }

  /** Of the live contents; remembered by it and its copies until they change. */
  digest(): ContentsDigest {
    this.#digest ??= digestOf(this.live)
    return this.#digest
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    const count = Math.max(0, Math.min(end - start, this.live.sizeBytes - position))
    buffer.set(this.live.bytes.subarray(position, position + count), start)
    return count
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): void {
    assert(position >= this.viewedEndBytes, 'nothing is overwritten under a view')
    const endPosition = position + end - start
    if (endPosition > this.live.sizeBytes) this.resize(endPosition)
    this.#ownLive()
    this.live.bytes.set(buffer.subarray(start, end), position)
    this.#touch(position, endPosition)
  }

  /** Shrinks or grows; what is new reads as zeros. */
  resize(sizeBytes: number): void {
    assert(sizeBytes >= this.viewedEndBytes, 'nothing is cut off under a view')
    const before = this.live.sizeBytes
    this.#ownLive()
    if (sizeBytes > this.live.bytes.length) {
      const grown = Buffer.alloc(Math.max(sizeBytes, this.live.bytes.length * 2, PAGE_BYTES))
      this.live.bytes.copy(grown, 0, 0, before)
      this.live.bytes = grown
      this.#former = null
    }
    if (sizeBytes < before) this.live.bytes.fill(0, sizeBytes, before)
    this.live.sizeBytes = sizeBytes
    this.#sizes.push(sizeBytes)
    this.#touch(Math.min(before, sizeBytes), Math.max(before, sizeBytes))
  }

  /** Flips bits on the medium and in memory, as rot does that is noticed only when read. */
  corrupt(position: number, mask: number): void {
    this.#ownLive()
    this.#ownDurable()
    this.live.bytes[position]! ^= mask
    this.#formerStalePages.add(Math.floor(position / PAGE_BYTES))
    this.#durable.bytes[position]! ^= mask
  }

  /** Begins a sync: what is changed now will be durable when {@link endSync} is called with the result. */
  beginSync(): PendingSync {
    this.#lastSync++
    this.#isShared = true
    const pending: PendingSync = {
      number: this.#lastSync,
      bytes: this.live.bytes,
      sizeBytes: this.live.sizeBytes,
      writeCount: this.#writeCount,
    }
    this.#pendingSyncs.push(pending)
    return pending
  }

  endSync(synced: PendingSync): void {
    // One that began later has ended before: it covers this one.
    if (synced.number < this.#endedSync) return
    this.#endedSync = synced.number
    // Those that began earlier do nothing any more, if they end at all.
    this.#pendingSyncs = this.#pendingSyncs.filter(({ number }) => number > synced.number)
    this.#durable = synced
    this.#sizes = [synced.sizeBytes, ...(this.live.sizeBytes === synced.sizeBytes ? [] : [this.live.sizeBytes])]
    this.#dirtyPages.clear()
    for (const [number, page] of this.#pages) if (!page.dropUpTo(synced.writeCount)) this.#pages.delete(number)
    if (this.live.bytes === synced.bytes && this.live.sizeBytes === synced.sizeBytes) return
    // What was written while the sync ran is as unsure as before.
    const pages = Math.ceil(Math.max(this.live.sizeBytes, synced.sizeBytes) / PAGE_BYTES)
    for (let page = 0; page < pages; page++) if (this.#differs(page)) this.#dirtyPages.add(page)
  }

  /** The system drops the pages of a failed write-back as if they were clean: later syncs succeed without them. */
  failSync(): void {
    this.#dirtyPages.clear()
    this.#pages.clear()
    this.#sizes = [this.#durable.sizeBytes]
  }

  /** The system writes one changed page back on its own. */
  writeBack(choices: Choices): void {
    // A fine crash may leave any version: that some were written back changes nothing.
    if (this.#dirtyPages.size === 0 || this.#finePageBytes > 0) return
    const page = [...this.#dirtyPages][choices.choose(this.#dirtyPages.size)]!
    this.#ownDurable()
    this.#persist(this.#durable, page, SECTORS_PER_PAGE)
  }

  /** What the medium holds after a crash now: any of the sizes, any subset of changed pages, each perhaps torn at a sector. */
  crashed(choices: Choices): SimulatedInode {
    if (this.#isClean) return this.#copyOfClean()
    if (this.#finePageBytes > 0) return this.#crashedFinely(choices)
    const plane: Plane = {
      bytes: Buffer.from(this.#durable.bytes.subarray(0, this.#durable.sizeBytes)),
      sizeBytes: this.#sizes[this.#sizes.length - 1 - choices.choose(this.#sizes.length)]!,
    }
    for (const page of [...this.#dirtyPages].sort((left, right) => left - right)) {
      // All of it, nothing, or the first half of its sectors: more ways of tearing prove little more.
      const sectors = [SECTORS_PER_PAGE, 0, SECTORS_PER_PAGE / 2][choices.choose(3)]!
      this.#persist(plane, page, sectors)
    }
    return this.#survivor(plane)
  }

  /** An independent copy, synced and unsynced contents alike. */
  fork(): SimulatedInode {
    const copy = new SimulatedInode(this.modifiedMs, this.#finePageBytes)
    this.#shareLive(copy)
    // Never changed in place: both go on with it.
    copy.#durable = this.#durable
    copy.#lastSync = this.#lastSync
    copy.#endedSync = this.#endedSync
    for (const page of this.#dirtyPages) copy.#dirtyPages.add(page)
    for (const [number, page] of this.#pages) copy.#pages.set(number, page.fork())
    copy.#sizes = [...this.#sizes]
    copy.#writeCount = this.#writeCount
    return copy
  }

  #survivor(plane: Plane): SimulatedInode {
    const survivor = new SimulatedInode(this.modifiedMs, this.#finePageBytes)
    survivor.live.sizeBytes = plane.sizeBytes
    survivor.live.bytes = Buffer.alloc(plane.sizeBytes)
    plane.bytes.copy(survivor.live.bytes, 0, 0, plane.sizeBytes)
    survivor.endSync(survivor.beginSync())
    return survivor
  }

  /** What is read is what was synced: a crash leaves just that. The same bytes, not equal ones: a failed sync drops what differs. */
  get #isClean(): boolean {
    const isSame = this.live.bytes === this.#durable.bytes && this.live.sizeBytes === this.#durable.sizeBytes
    return isSame && this.#pages.size === 0 && this.#sizes.every((sizeBytes) => sizeBytes === this.live.sizeBytes)
  }

  #copyOfClean(): SimulatedInode {
    const copy = new SimulatedInode(this.modifiedMs, this.#finePageBytes)
    this.#shareLive(copy)
    copy.endSync(copy.beginSync())
    return copy
  }

  /** Most files of a disk are the same in all that crashes may leave: they are copied when they change. */
  #shareLive(copy: SimulatedInode): void {
    this.#isShared = true
    copy.#isShared = true
    this.#foreign = this.live.bytes
    copy.#foreign = this.live.bytes
    // May be the durable bytes, which a copy goes on with.
    this.#former = null
    copy.live.bytes = this.live.bytes
    copy.live.sizeBytes = this.live.sizeBytes
    copy.#digest = this.#digest
  }

  /** Before the live bytes change. */
  #ownLive(): void {
    this.#digest = null
    if (!this.#isShared) return
    this.#isShared = false
    const { bytes } = this.live
    this.live.bytes = this.#copyOfLive()
    this.#former = bytes === this.#foreign ? null : bytes
    this.#formerStalePages.clear()
  }

  #copyOfLive(): Buffer {
    const { bytes, sizeBytes } = this.live
    const former = this.#former
    const isFree =
      former !== null &&
      former.length === bytes.length &&
      former !== this.#durable.bytes &&
      !this.#pendingSyncs.some((pending) => pending.bytes === former)
    if (!isFree) {
      const copy = Buffer.alloc(bytes.length)
      bytes.copy(copy, 0, 0, sizeBytes)
      return copy
    }
    for (const page of this.#formerStalePages) {
      const start = page * PAGE_BYTES
      bytes.copy(former, start, start, Math.min(start + PAGE_BYTES, bytes.length))
    }
    return former
  }

  #ownDurable(): void {
    const { bytes, sizeBytes } = this.#durable
    this.#durable = { bytes: Buffer.from(bytes.subarray(0, sizeBytes)), sizeBytes }
  }

  /** Asks for each outcome once: all combinations of choices are different contents. */
  #crashedFinely(choices: Choices): SimulatedInode {
    const sizes = [...new Set(this.#sizes.toReversed())]
    const sizeBytes = sizes[choose(choices, sizes.length)]!
    const bytes = Buffer.alloc(sizeBytes)
    this.#durable.bytes.copy(bytes, 0, 0, Math.min(sizeBytes, this.#durable.sizeBytes))
    for (const number of [...this.#pages.keys()].sort((left, right) => left - right)) {
      const start = number * this.#finePageBytes
      if (start >= sizeBytes) break
      const durable = copyOf(this.#durable, start, this.#finePageBytes)
      const leftBytes = Math.min(this.#finePageBytes, sizeBytes - start)
      const outcomes = this.#pages.get(number)!.outcomes(durable, leftBytes)
      outcomes[choose(choices, outcomes.length)]!.copy(bytes, start)
    }
    return this.#survivor({ bytes, sizeBytes })
  }

  #touch(start: number, end: number): void {
    for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++) {
      this.#dirtyPages.add(page)
      this.#formerStalePages.add(page)
    }
    if (this.#finePageBytes === 0) return
    this.#writeCount++
    for (let number = Math.floor(start / this.#finePageBytes); number * this.#finePageBytes < end; number++) {
      let page = this.#pages.get(number)
      if (page === undefined) {
        page = new SimulatedPage()
        this.#pages.set(number, page)
      }
      page.add(this.#writeCount, copyOf(this.live, number * this.#finePageBytes, this.#finePageBytes))
    }
  }

  #differs(page: number): boolean {
    const start = page * PAGE_BYTES
    const now = this.live.bytes.subarray(start, Math.min(start + PAGE_BYTES, this.live.sizeBytes))
    const then = this.#durable.bytes.subarray(start, Math.min(start + PAGE_BYTES, this.#durable.sizeBytes))
    return !now.equals(then)
  }

  #persist(plane: Plane, page: number, sectorCount: number): void {
    const start = page * PAGE_BYTES
    const end = Math.min(start + sectorCount * SECTOR_BYTES, this.live.sizeBytes)
    if (end <= start) return
    if (plane.bytes.length < end) plane.bytes = Buffer.concat([plane.bytes, Buffer.alloc(end - plane.bytes.length)])
    this.live.bytes.copy(plane.bytes, start, start, end)
  }
}

/** Two multiplicative hashes, whose mistakes do not fall together. */
function digestOf({ bytes, sizeBytes }: Plane): ContentsDigest {
  let high = 0x811c9dc5 ^ sizeBytes
  let low = 0x9e3779b9
  for (let slot = 0; slot < sizeBytes; slot++) {
    const byte = bytes[slot]!
    high = Math.imul(high ^ byte, 0x01000193)
    low = Math.imul(low + byte, 0x85ebca6b) ^ (low >>> 15)
  }
  return { high, low }
}

/** `[start, start + sizeBytes)` of a plane, with zeros behind its end. */
function copyOf(plane: Plane, start: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes)
  if (start < plane.sizeBytes) plane.bytes.copy(bytes, 0, start, Math.min(start + sizeBytes, plane.sizeBytes))
  return bytes
}

/** Where there is one way only, nothing is asked. */
function choose(choices: Choices, count: number): number {
  return count > 1 ? choices.choose(count) : 0
}
