import { assert } from '@millrace/base'
import { FIRST_CHAIN } from './chain.ts'
import type { RaftLog } from './raft-log-port.ts'
import type { Entry, LogIndex, SnapshotPoint, Term, VoterSet } from './types.ts'
import { VoterHistory, type VotersPoint } from './voter-history.ts'
import { decodeVoters } from './voter-set.ts'

export interface LogPoint {
  readonly term: Term
  readonly chain: Buffer
}

export interface ReceivedSnapshot {
  readonly point: SnapshotPoint
  readonly data: Buffer
}

/** What one write makes durable. */
export interface LogWrite {
  readonly truncateFrom: LogIndex | null
  readonly entries: readonly Entry[]
  readonly snapshot: ReceivedSnapshot | null
}

const SCAN_BYTES = 1024 * 1024
const FIRST_POINT: LogPoint = { term: 0, chain: FIRST_CHAIN }

/** Bytes by which an entry is counted: its data and a share for what surrounds it, so that empty entries are not free. */
export function weightOf(entry: Pick<Entry, 'data'>): number {
  return entry.data.length + 64
}

/**
 * The log as the core sees it: what is durable, behind the port, and in front of it what is not durable yet, in memory. Entries leave
 * memory only when a write that held these very entries is done: if they were cut off and others took their place meanwhile, the finished
 * write says nothing about those (C11).
 */
export class LogView {
  readonly #port: RaftLog
  readonly #history: VoterHistory
  /** Entries from `#unstableFrom` to the end of the log. */
  #unstable: Entry[]
  #unstableFrom: LogIndex
  #unstableBytes: number
  /** The port holds entries from here on that are no longer part of the log. */
  #truncateFrom: LogIndex | null
  #received: ReceivedSnapshot | null
  #writing: LogWrite | null

  constructor(port: RaftLog, bootstrapVoters: VoterSet) {
    this.#port = port
    this.#unstable = []
    this.#unstableFrom = port.lastIndex + 1
    this.#unstableBytes = 0
    this.#truncateFrom = null
    this.#received = null
    this.#writing = null
    const { snapshot } = port
    this.#history = new VoterHistory(
      snapshot === null
        ? { index: 0, voters: bootstrapVoters }
        : { index: snapshot.votersIndex, voters: snapshot.voters },
    )
    this.#scanVoters(Math.max(port.firstIndex, (snapshot?.index ?? 0) + 1))
  }

  get firstIndex(): LogIndex {
    return this.#received === null ? this.#port.firstIndex : this.#received.point.index + 1
  }

  get lastIndex(): LogIndex {
    return this.#unstableFrom + this.#unstable.length - 1
  }

  /** Everything up to here is durable, unless a received snapshot is not. */
  get stableIndex(): LogIndex {
    return this.#unstableFrom - 1
  }

  /** Counted as {@link weightOf} does. */
  get unstableBytes(): number {
    return this.#unstableBytes
  }

  /** The newest snapshot, also if it is not durable yet. */
  get snapshotPoint(): SnapshotPoint | null {
    return this.#received?.point ?? this.#port.snapshot
  }

  get newestVoters(): VotersPoint {
    return this.#history.newest
  }

  votersAt(index: LogIndex): VotersPoint | null {
    return this.#history.at(index)
  }

  get lastPoint(): LogPoint {
    const point = this.pointAt(this.lastIndex)
    assert(point !== null, 'the log has a point at its end')
    return point
  }

  /** Of `[firstIndex - 1, lastIndex]`; null outside. */
  pointAt(index: LogIndex): LogPoint | null {
    if (index >= this.#unstableFrom) return this.#unstable[index - this.#unstableFrom] ?? null
    if (this.#received !== null) return index === this.#received.point.index ? this.#received.point : null
    if (index === 0) return this.#port.firstIndex === 1 ? FIRST_POINT : null
    return this.#port.pointAt(index)
  }

  /** Entries `[from, to)`, at least one if there is one, then no more than `maxBytes` by {@link weightOf}. Fewer where memory begins. */
  entries(from: LogIndex, to: LogIndex, maxBytes: number): Entry[] {
    const end = Math.min(to, this.lastIndex + 1)
    if (from < this.firstIndex || from >= end) return []
    const found =
      from < this.#unstableFrom
        ? this.#port.entries(from, Math.min(end, this.#unstableFrom), maxBytes)
        : this.#unstable.slice(from - this.#unstableFrom, end - this.#unstableFrom)
    let bytes = 0
    const cut = found.findIndex((entry, slot) => {
      bytes += weightOf(entry)
      return slot > 0 && bytes > maxBytes
    })
    return cut === -1 ? found : found.slice(0, cut)
  }

  /** Adds entries that go on from the end of the log. */
  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, 'an entry goes on from the end of the log')
      this.#unstable.push(entry)
      this.#unstableBytes += weightOf(entry)
      if (entry.kind === 'voters') this.#history.append({ index: entry.index, voters: votersOf(entry) })
    }
  }

  /** Cuts off the entries from `index` on. */
  truncate(index: LogIndex): void {
    assert(index >= this.firstIndex, 'what a snapshot holds is not cut off')
    if (index > this.lastIndex) return
    if (index < this.#unstableFrom || this.#writing !== null) {
      this.#truncateFrom = Math.min(this.#truncateFrom ?? index, index)
    }
    const kept = Math.max(index - this.#unstableFrom, 0)
    for (const entry of this.#unstable.splice(kept)) this.#unstableBytes -= weightOf(entry)
    this.#unstableFrom = Math.min(this.#unstableFrom, index)
    this.#history.truncate(index)
  }

  /** A snapshot takes the place of the whole log. */
  restore(snapshot: ReceivedSnapshot): void {
    this.#received = snapshot
    this.#unstable = []
    this.#unstableFrom = snapshot.point.index + 1
    this.#unstableBytes = 0
    this.#truncateFrom = null
    this.#history.reset({ index: snapshot.point.votersIndex, voters: snapshot.point.voters })
  }

  get hasWrite(): boolean {
    return this.#unstable.length > 0 || this.#truncateFrom !== null || this.#received !== null
  }

  /** Everything that is not durable. The next one only after {@link finishWrite}. */
  takeWrite(): LogWrite {
    assert(this.#writing === null, 'one write at a time')
    const from = this.#received === null ? this.#truncateFrom : this.#received.point.index + 1
    this.#writing = {
      truncateFrom: from !== null && from <= this.#port.lastIndex ? from : null,
      entries: this.#unstable.slice(),
      snapshot: this.#received,
    }
    this.#truncateFrom = null
    return this.#writing
  }

  /** The port holds what the last {@link takeWrite} gave. */
  finishWrite(): void {
    const written = this.#writing
    assert(written !== null, 'a write is under way')
    this.#writing = null
    if (this.#received === written.snapshot) this.#received = null
    if (written.entries[0]?.index !== this.#unstableFrom) return
    let count = 0
    while (count < written.entries.length && this.#unstable[count] === written.entries[count]) count++
    for (const entry of this.#unstable.splice(0, count)) this.#unstableBytes -= weightOf(entry)
    this.#unstableFrom += count
  }

  /** The port's snapshot is newer and its log may begin later. */
  onSnapshotSaved(): void {
    const { snapshot } = this.#port
    if (snapshot !== null) this.#history.compact(snapshot.index)
  }

  /** See `RaftLog.readSnapshot`. */
  readSnapshot(index: LogIndex, offset: number, maxBytes: number): { data: Buffer; sizeBytes: number } | null {
    return this.#port.readSnapshot(index, offset, maxBytes)
  }

  #scanVoters(from: LogIndex): void {
    let next = from
    while (next <= this.#port.lastIndex) {
      const entries = this.#port.entries(next, this.#port.lastIndex + 1, SCAN_BYTES)
      assert(entries.length > 0, 'the log has the entries that it counts')
      for (const entry of entries) {
        if (entry.kind === 'voters') this.#history.append({ index: entry.index, voters: votersOf(entry) })
      }
      next += entries.length
    }
  }
}

function votersOf(entry: Entry): VoterSet {
  const voters = decodeVoters(entry.data)
  assert(voters !== null, 'an entry of voters was checked before it was appended')
  return voters
}
