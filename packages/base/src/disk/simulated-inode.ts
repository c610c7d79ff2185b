import { assert } from '../errors.ts'
import type { Choices } from './choices.ts'
import { SimulatedPage } from './simulated-page.ts'

export const PAGE_BYTES = 4096
const SECTOR_BYTES = 512
const SECTORS_PER_PAGE = PAGE_BYTES / SECTOR_BYTES

/** Contents of a file at some moment. */
interface Plane {
  bytes: Buffer
  sizeBytes: number
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
  }

  get sizeBytes(): number {
    return this.live.sizeBytes
  }

  get dirtyPageCount(): number {
    return this.#dirtyPages.size
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
    this.live.bytes.set(buffer.subarray(start, end), position)
    this.#touch(position, endPosition)
  }

  /** Shrinks or grows; what is new reads as zeros. */
  resize(sizeBytes: number): void {
    assert(sizeBytes >= this.viewedEndBytes, 'nothing is cut off under a view')
    const before = this.live.sizeBytes
    if (sizeBytes > this.live.bytes.length) {
      const grown = Buffer.alloc(Math.max(sizeBytes, this.live.bytes.length * 2, PAGE_BYTES))
      this.live.bytes.copy(grown, 0, 0, before)
      this.live.bytes = grown
    }
    if (sizeBytes < before) this.live.bytes.fill(0, sizeBytes, before)
    this.live.sizeBytes = sizeBytes
    this.#sizes.push(sizeBytes)
    this.#touch(Math.min(before, sizeBytes), Math.max(before, sizeBytes))
  }

  /** Flips bits on the medium and in memory, as rot does that is noticed only when read. */
  corrupt(position: number, mask: number): void {
    this.live.bytes[position]! ^= mask
    this.#durable.bytes[position]! ^= mask
  }

  /** Begins a sync: what is changed now will be durable when {@link endSync} is called with the result. */
  beginSync(): PendingSync {
    this.#lastSync++
    return {
      number: this.#lastSync,
      bytes: Buffer.from(this.live.bytes.subarray(0, this.live.sizeBytes)),
      sizeBytes: this.live.sizeBytes,
      writeCount: this.#writeCount,
    }
  }

  endSync(synced: PendingSync): void {
    // One that began later has ended before: it covers this one.
    if (synced.number < this.#endedSync) return
    this.#endedSync = synced.number
    this.#durable = synced
    this.#sizes = [synced.sizeBytes, ...(this.live.sizeBytes === synced.sizeBytes ? [] : [this.live.sizeBytes])]
    this.#dirtyPages.clear()
    for (const [number, page] of this.#pages) if (!page.dropUpTo(synced.writeCount)) this.#pages.delete(number)
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
    this.#persist(this.#durable, page, SECTORS_PER_PAGE)
  }

  /** What the medium holds after a crash now: any of the sizes, any subset of changed pages, each perhaps torn at a sector. */
  crashed(choices: Choices): SimulatedInode {
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
    copy.live.bytes = Buffer.from(this.live.bytes.subarray(0, this.live.sizeBytes))
    copy.live.sizeBytes = this.live.sizeBytes
    copy.#durable = { bytes: Buffer.from(this.#durable.bytes), sizeBytes: this.#durable.sizeBytes }
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
    for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++) this.#dirtyPages.add(page)
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
