import type { Entry, HardState, LogIndex, RaftLog, SnapshotPoint, StoreBatch, Term } from '@millrace/consensus'
import { chainHash } from '../world/digest.ts'
import { must } from '../world/violation.ts'

const KIND_CODES = { empty: 1, command: 2, voters: 3 } as const

/** Hash of a log up to an entry, from the hash before it: the checkers' own, which owes nothing to the entries' chains. */
export function entryHash(previous: number, { index, term, kind, data }: Entry): number {
  return chainHash(previous, term, index * 4 + KIND_CODES[kind], data)
}

/**
 * What one directory holds of the quorum's log, in memory: only what is durable. A crash leaves it as it is; a write that was under way
 * is applied whole or not at all, as a transaction is. Beside each entry stands the checkers' hash of the log up to there.
 */
export class DurableLog implements RaftLog {
  hardState: HardState = { term: 0, vote: null }
  snapshot: SnapshotPoint | null = null
  #snapshotData: Buffer | null = null
  #entries: Entry[] = []
  #hashes: number[] = []
  /** Of the entry before the first. */
  #base: { readonly index: LogIndex; readonly term: Term; readonly chain: Buffer; readonly hash: number }

  constructor(firstChain: Buffer) {
    this.#base = { index: 0, term: 0, chain: firstChain, hash: 0 }
  }

  get firstIndex(): LogIndex {
    return this.#base.index + 1
  }

  get lastIndex(): LogIndex {
    return this.#base.index + this.#entries.length
  }

  get snapshotData(): Buffer | null {
    return this.#snapshotData
  }

  pointAt(index: LogIndex): { readonly term: Term; readonly chain: Buffer } | null {
    if (index === this.#base.index) return this.#base
    return this.#entries[index - this.firstIndex] ?? null
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    const found: Entry[] = []
    let sizeBytes = 0
    for (let index = Math.max(from, this.firstIndex); index < to && index <= this.lastIndex; index++) {
      const entry = this.#entries[index - this.firstIndex]!
      sizeBytes += entry.data.length
      if (found.length > 0 && sizeBytes > maxBytes) break
      found.push(entry)
    }
    return found
  }

  readSnapshot(index: LogIndex, offset: number, maxBytes: number): { data: Buffer; sizeBytes: number } | null {
    if (this.snapshot?.index !== index || this.#snapshotData === null) return null
    return {
      data: this.#snapshotData.subarray(offset, offset + maxBytes),
      sizeBytes: this.#snapshotData.length,
    }
  }

  /** Hash of the log up to the entry; null: it is not held, nor is the one after it. */
  hashAt(index: LogIndex): number | null {
    if (index === this.#base.index) return this.#base.hash
    return this.#hashes[index - this.firstIndex] ?? null
  }

  /** Makes a batch durable. `hashOf` tells the hash that a snapshot's data stands for. */
  write(batch: StoreBatch, hashOf: (data: Buffer) => number): void {
    const { hardState, snapshot, truncateFrom, entries } = batch
    if (snapshot !== null) this.#install(snapshot.point, snapshot.data, hashOf(snapshot.data))
    if (hardState !== null) this.hardState = hardState
    if (truncateFrom !== null) this.#truncate(truncateFrom)
    for (const entry of entries) this.#append(entry)
  }

  /** An own snapshot at an applied index; entries below `keepFrom` go. */
  saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): void {
    if (this.snapshot !== null && point.index <= this.snapshot.index) return
    this.snapshot = point
    this.#snapshotData = data
    const first = Math.min(keepFrom, point.index + 1)
    if (first <= this.firstIndex) return
    const { term, chain } = this.pointAt(first - 1)!
    const hash = this.hashAt(first - 1)!
    const count = first - this.firstIndex
    this.#entries = this.#entries.slice(count)
    this.#hashes = this.#hashes.slice(count)
    this.#base = { index: first - 1, term, chain, hash }
  }

  #install(point: SnapshotPoint, data: Buffer, hash: number): void {
    const held = this.pointAt(point.index)
    const goesOn = held !== null && held.term === point.term && held.chain.equals(point.chain)
    const count = goesOn ? point.index - this.#base.index : this.#entries.length
    this.#entries = this.#entries.slice(count)
    this.#hashes = this.#hashes.slice(count)
    this.#base = { index: point.index, term: point.term, chain: point.chain, hash }
    this.snapshot = point
    this.#snapshotData = data
  }

  #truncate(from: LogIndex): void {
    must(
      from > this.#base.index,
      'C9',
      () => `entries from ${from} on are cut off, the snapshot's point is ${this.#base.index}`,
    )
    const count = from - this.firstIndex
    if (count >= this.#entries.length) return
    this.#entries.length = count
    this.#hashes.length = count
  }

  #append(entry: Entry): void {
    must(entry.index === this.lastIndex + 1, 'C9', () => `entry ${entry.index} is written after ${this.lastIndex}`)
    this.#hashes.push(entryHash(this.#hashes.at(-1) ?? this.#base.hash, entry))
    this.#entries.push(entry)
  }
}
