import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'

/** A record that a client sends. */
export interface SentRecord {
  readonly topic: string
  /** In a header: of which producer, and its count there, with a dash between. */
  readonly id: string
  readonly key: string
  /** Null: it deletes its key. */
  readonly value: string | null
}

/** What a client of the topic was given. */
export interface ReadRecord {
  readonly offset: number
  readonly id: string
  readonly key: string
  readonly value: string | null
}

/** `open`: nobody has been told what became of it; `unknown`: nobody will be. */
type Fate = 'open' | 'stored' | 'unknown' | 'aborted'

interface KnownRecord {
  readonly sent: SentRecord
  readonly sentMs: number
  fate: Fate
  /** -1: not known. */
  offset: number
  /** When its producer knew, or gave up. */
  endedMs: number
}

interface TopicGhost {
  readonly byOffset: Map<number, KnownRecord>
  /** In the order in which they were sent. */
  readonly byKey: Map<string, KnownRecord[]>
  /** Those that were acknowledged with an offset. */
  readonly stored: KnownRecord[]
}

/** What compaction may leave out of a topic, and when. */
export interface TopicPromise {
  readonly name: string
  /** Old segments are deleted as well: the beginning of the log moves. */
  readonly isDeleted: boolean
  readonly deleteRetentionMs: number
  readonly minCompactionLagMs: number
}

/** A reading of a topic from one offset on, without a gap. */
export interface Pass {
  readonly topic: string
  readonly startOffset: number
  /** Below it records may be deleted. */
  floorOffset: number
  /** Id by offset. */
  readonly read: Map<number, string>
  lastOffset: number
}

/** A request of a producer that has given up is stored within it, or never. */
const LATE_MS = 20_000

/**
 * Compacted topics as their clients see them. Whoever reads a stretch of one is given every acknowledged record in it, unless a newer one of
 * its key may have replaced it, or it deletes its key and has done so for long enough (K6); offsets rise and stay what they are (R3), nothing is
 * there twice (R14), made up (S2) or of an aborted transaction (T2).
 */
export class CompactionGhost {
  readonly #world: World
  readonly #promises: ReadonlyMap<string, TopicPromise>
  readonly #topics = new Map<string, TopicGhost>()
  readonly #byId = new Map<string, KnownRecord>()
  /** The latest beginning of any replica's log so far, by topic. */
  readonly #startOffsets = new Map<string, number>()

  constructor(world: World, promises: readonly TopicPromise[]) {
    this.#world = world
    this.#promises = new Map(promises.map((promise) => [promise.name, promise]))
    for (const { name } of promises) this.#topics.set(name, { byOffset: new Map(), byKey: new Map(), stored: [] })
  }

  onSend(sent: SentRecord): void {
    const record: KnownRecord = { sent, sentMs: this.#world.nowMs, fate: 'open', offset: -1, endedMs: -1 }
    this.#byId.set(sent.id, record)
    const { byKey } = this.#topics.get(sent.topic)!
    const ofKey = byKey.get(sent.key)
    if (ofKey === undefined) byKey.set(sent.key, [record])
    else ofKey.push(record)
  }

  /** It is at this offset, although its transaction may still come to nothing; negative: its broker did not say. */
  onPlaced(id: string, offset: number): void {
    if (offset >= 0) this.#place(this.#byId.get(id)!, offset, 'acknowledged')
  }

  /** It is stored for good. */
  onStored(id: string, offset: number): void {
    const record = this.#byId.get(id)!
    this.onPlaced(id, offset)
    this.#end(record, 'stored')
    if (record.offset >= 0) this.#topics.get(record.sent.topic)!.stored.push(record)
  }

  onUnknown(id: string): void {
    this.#end(this.#byId.get(id)!, 'unknown')
  }

  onAborted(id: string): void {
    this.#end(this.#byId.get(id)!, 'aborted')
  }

  beginPass(topic: string, startOffset: number): Pass {
    return { topic, startOffset, floorOffset: startOffset, read: new Map(), lastOffset: startOffset - 1 }
  }

  /** `logStartOffset`: of the log that gave it. */
  onRead(pass: Pass, { offset, id, key, value }: ReadRecord, logStartOffset: number): void {
    const { topic } = pass
    const known = this.#byId.get(id)
    this.#world.judge('S2')
    must(known?.sent.topic === topic && known.sent.key === key && known.sent.value === value, 'S2', () => {
      return `${topic} has "${id}" of key ${key} at ${offset}, which nobody sent like that`
    })
    this.#world.judge('T2')
    must(known.fate !== 'aborted', 'T2', () => `"${id}" at ${offset} of ${topic} was read, and its transaction aborted`)
    must(offset > pass.lastOffset, 'K6', () => `${topic} is read at ${offset} after ${pass.lastOffset}`)
    pass.lastOffset = offset
    this.onLogStart(pass, logStartOffset)
    pass.read.set(offset, id)
    this.#place(known, offset, 'read')
  }

  /** The log begins there by now, says the broker. */
  onLogStart(pass: Pass, logStartOffset: number): void {
    this.#world.judge('R15')
    must(logStartOffset === 0 || this.#promises.get(pass.topic)!.isDeleted, 'R15', () => {
      return `${pass.topic} begins at ${logStartOffset}, and nobody deletes from it`
    })
    pass.floorOffset = Math.max(pass.floorOffset, logStartOffset)
  }

  /**
   * A replica's log begins there. Each deletes by its own clock: a leader sends its readers on to where its log begins, and the next leader's
   * may begin before that.
   */
  onReplicaStart(topic: string, startOffset: number): void {
    if (!this.#promises.get(topic)!.isDeleted) return
    this.#startOffsets.set(topic, Math.max(startOffset, this.#startOffsets.get(topic) ?? 0))
  }

  /** Everything below `endOffset` has been read: what is missing must be replaced, or deleted. */
  checkPass(pass: Pass, endOffset: number): void {
    const floorOffset = Math.max(pass.floorOffset, this.#startOffsets.get(pass.topic) ?? 0)
    for (const record of this.#topics.get(pass.topic)!.stored) {
      const { offset, sent } = record
      if (offset < floorOffset || offset >= endOffset) continue
      this.#world.judge('K6')
      if (pass.read.has(offset)) continue
      this.#world.mark(sent.value === null ? 'deletion compacted away' : 'record compacted away')
      must(this.#isReplaced(record) || this.#isForgotten(record), 'K6', () => {
        return `"${sent.id}" of key ${sent.key} was acknowledged at ${offset} of ${pass.topic} and not read, up to ${endOffset}; no newer one can have replaced it`
      })
    }
  }

  /** The newest acknowledged records that delete their keys: where each is, and since when. */
  *deletions(topic: string): Iterable<{ readonly key: string; readonly offset: number; readonly sentMs: number }> {
    for (const [key, records] of this.#topics.get(topic)!.byKey) {
      const newest = records.findLast(({ fate }) => fate !== 'aborted')
      if (newest?.fate !== 'stored' || newest.sent.value !== null || newest.offset < 0) continue
      if (records.some((record) => mayStandBehind(record, newest))) continue
      yield { key, offset: newest.offset, sentMs: newest.sentMs }
    }
  }

  keyAt(topic: string, offset: number): string | null {
    return this.#topics.get(topic)!.byOffset.get(offset)?.sent.key ?? null
  }

  #end(record: KnownRecord, fate: Fate): void {
    record.fate = fate
    record.endedMs = this.#world.nowMs
  }

  #place(record: KnownRecord, offset: number, how: string): void {
    const { topic, id } = record.sent
    const { byOffset } = this.#topics.get(topic)!
    this.#world.judge('R3')
    const at = byOffset.get(offset)
    must(at === undefined || at === record, 'R3', () => {
      return `offset ${offset} of ${topic} was "${at?.sent.id}", and "${id}" is ${how} there`
    })
    this.#world.judge('R14')
    must(record.offset < 0 || record.offset === offset, 'R14', () => {
      return `"${id}" is at ${record.offset} and at ${offset} of ${topic}`
    })
    record.offset = offset
    byOffset.set(offset, record)
  }

  /** A newer record of its key is old enough to have taken its place, or may be. */
  #isReplaced(record: KnownRecord): boolean {
    const { topic, key } = record.sent
    const lagMs = this.#isClockSteady ? this.#promises.get(topic)!.minCompactionLagMs : 0
    const latestMs = this.#world.nowMs - lagMs
    const ofKey = this.#topics.get(topic)!.byKey.get(key)!
    return ofKey.some((other) => other.sentMs <= latestMs && mayStandBehind(other, record))
  }

  /** It deletes its key, and everybody had the time to hear of it. */
  #isForgotten({ sent, sentMs }: KnownRecord): boolean {
    if (sent.value !== null) return false
    return !this.#isClockSteady || this.#world.nowMs - sentMs >= this.#promises.get(sent.topic)!.deleteRetentionMs
  }

  get #isClockSteady(): boolean {
    return !this.#world.faults.has('clock jump')
  }
}

/** Whether a record may be stored behind another one, as far as anybody knows. */
function mayStandBehind(record: KnownRecord, other: KnownRecord): boolean {
  if (record === other || record.fate === 'aborted') return false
  if (record.offset >= 0) return record.offset > other.offset
  return record.fate === 'open' || record.endedMs + LATE_MS >= other.sentMs
}
