import { assert } from '@millrace/base'
import { FIRST_CHAIN } from '../chain.ts'
import type { RaftLog } from '../raft-log-port.ts'
import type { Entry, HardState, LogIndex, Ready, SnapshotPoint, Term } from '../types.ts'

/**
 * What one node keeps, in memory: every write is durable at once and as a whole. A crash is a core that is thrown away between `takeReady`
 * and {@link MemoryLog.write}.
 */
export class MemoryLog implements RaftLog {
  #hardState: HardState
  #entries: Entry[]
  #snapshot: { readonly point: SnapshotPoint; readonly data: Buffer } | null
  /** The point before the first entry. */
  #before: { readonly index: LogIndex; readonly term: Term; readonly chain: Buffer }

  constructor() {
    this.#hardState = { term: 0, vote: null }
    this.#entries = []
    this.#snapshot = null
    this.#before = { index: 0, term: 0, chain: FIRST_CHAIN }
  }

  get hardState(): HardState {
    return this.#hardState
  }

  get firstIndex(): LogIndex {
    return this.#before.index + 1
  }

  get lastIndex(): LogIndex {
    return this.#before.index + this.#entries.length
  }

  get snapshot(): SnapshotPoint | null {
    return this.#snapshot?.point ?? null
  }

  get snapshotData(): Buffer | null {
    return this.#snapshot?.data ?? null
  }

  pointAt(index: LogIndex): { readonly term: Term; readonly chain: Buffer } | null {
    if (index === this.#before.index) return this.#before
    return this.#entries[index - this.firstIndex] ?? null
  }

  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    assert(from >= this.firstIndex && to <= this.lastIndex + 1, 'entries are asked for where they are')
    const found: Entry[] = []
    let bytes = 0
    for (const entry of this.#entries.slice(from - this.firstIndex, to - this.firstIndex)) {
      bytes += entry.data.length
      if (found.length > 0 && bytes > maxBytes) break
      found.push(entry)
    }
    return found
  }

  readSnapshot(
    index: LogIndex,
    offset: number,
    maxBytes: number,
  ): { readonly data: Buffer; readonly sizeBytes: number } | null {
    if (this.#snapshot?.point.index !== index) return null
    const { data } = this.#snapshot
    return { data: data.subarray(offset, offset + maxBytes), sizeBytes: data.length }
  }

  /** In the order that `Ready` asks for. */
  write(ready: Pick<Ready, 'hardState' | 'truncateFrom' | 'entries' | 'snapshot'>): void {
    const { hardState, truncateFrom, entries, snapshot } = ready
    if (snapshot !== null) this.#install(snapshot)
    if (hardState !== null) {
      assert(hardState.term >= this.#hardState.term, 'terms do not go back (C3)')
      this.#hardState = hardState
    }
    if (truncateFrom !== null) {
      assert(truncateFrom >= this.firstIndex && truncateFrom <= this.lastIndex, 'a truncation removes what is there')
      this.#entries.splice(truncateFrom - this.firstIndex)
    }
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, 'entries are written without gaps or overlaps')
      this.#entries.push(entry)
    }
  }

  /** A snapshot of the own state; entries before `keepFrom` go. */
  saveSnapshot(point: SnapshotPoint, data: Buffer, keepFrom: LogIndex): void {
    assert(keepFrom <= point.index + 1, 'no gap between snapshot and log')
    this.#snapshot = { point, data }
    if (keepFrom <= this.firstIndex) return
    const before = this.pointAt(keepFrom - 1)
    assert(before !== null, 'the log is cut where it is')
    const removed = keepFrom - this.firstIndex
    this.#before = { index: keepFrom - 1, term: before.term, chain: before.chain }
    this.#entries.splice(0, removed)
  }

  /** Overwrites an entry in place, as rot or a foreign tool would. */
  damage(entry: Entry): void {
    this.#entries[entry.index - this.firstIndex] = entry
  }

  #install(snapshot: { readonly point: SnapshotPoint; readonly data: Buffer }): void {
    const { index, term, chain } = snapshot.point
    this.#snapshot = snapshot
    this.#entries = this.#entries.filter((entry) => entry.index > index)
    this.#before = { index, term, chain }
  }
}
