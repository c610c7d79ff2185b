import type { Clock, Random } from '@millrace/base'
import { type FetchPartition, FetchSession } from './fetch-session.ts'

/** A session unused or older than this may be displaced (Kafka's fixed two minutes). */
const EVICTION_MS = 120_000

/**
 * Most partitions of all sessions together, some 200 MB. Kafka bounds the sessions alone, so whoever opens a thousand on half a million
 * names each fills its heap.
 */
const MAX_PARTITIONS = 1_000_000

/**
 * All fetch sessions of the broker, a bounded number (`max.incremental.fetch.session.cache.slots`). When it is full a session
 * idle for two minutes goes first; else the smallest one that is not larger than the newcomer, of a kind that the newcomer may
 * displace: followers any consumer's, everybody those older than two minutes (KIP-227).
 */
export class FetchSessionCache {
  readonly #sessions = new Map<number, FetchSession>()
  readonly #clock: Clock
  readonly #random: Random
  readonly maxSessions: number
  /** Of all sessions together. */
  readonly maxPartitions: number
  evictions = 0

  constructor(clock: Clock, random: Random, maxSessions: number, maxPartitions = MAX_PARTITIONS) {
    this.#clock = clock
    this.#random = random
    this.maxSessions = maxSessions
    this.maxPartitions = maxPartitions
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Partitions of all sessions: what the cache holds in memory. */
  get partitionCount(): number {
    let count = 0
    for (const session of this.#sessions.values()) count += session.partitions.size
    return count
  }

  /** A session grew beyond what all may hold: its client must begin anew, and goes on without one while the others are as large. */
  get isOverfull(): boolean {
    return this.partitionCount > this.maxPartitions
  }

  get(id: number): FetchSession | undefined {
    return this.#sessions.get(id)
  }

  remove(id: number): void {
    this.#sessions.delete(id)
  }

  /** Marks it used; the map's order is the order of use. */
  touch(session: FetchSession): void {
    session.lastUsedMs = this.#clock.monotonicMs()
    this.#sessions.delete(session.id)
    this.#sessions.set(session.id, session)
  }

  /** A new session, or null where the cache is full of better ones: the client then goes on without. */
  create(privileged: boolean, usesTopicIds: boolean, partitions: Map<string, FetchPartition>): FetchSession | null {
    if (this.maxSessions === 0) return null
    const nowMs = this.#clock.monotonicMs()
    if (!this.#makeRoom(partitions.size, nowMs)) return null
    if (this.#sessions.size >= this.maxSessions && !this.#evictFor(privileged, partitions.size, nowMs)) return null
    const session = new FetchSession(this.#newId(), privileged, usesTopicIds, nowMs, partitions)
    this.#sessions.set(session.id, session)
    return session
  }

  /** Whether so many more partitions may be held, perhaps after sessions that nobody uses any more have gone. */
  #makeRoom(partitionCount: number, nowMs: number): boolean {
    let room = this.maxPartitions - this.partitionCount - partitionCount
    for (const oldest of this.#sessions.values()) {
      if (room >= 0 || nowMs - oldest.lastUsedMs <= EVICTION_MS) break
      room += oldest.partitions.size
      this.#evict(oldest)
    }
    return room >= 0
  }

  #newId(): number {
    for (;;) {
      const id = this.#random.uint32() & 0x7fffffff
      if (id !== 0 && !this.#sessions.has(id)) return id
    }
  }

  #evictFor(privileged: boolean, partitionCount: number, nowMs: number): boolean {
    for (const oldest of this.#sessions.values()) {
      if (nowMs - oldest.lastUsedMs > EVICTION_MS) return this.#evict(oldest)
      break
    }
    let smallest: FetchSession | null = null
    for (const session of this.#sessions.values()) {
      const isOld = nowMs - session.createdMs > EVICTION_MS
      if (!isOld && (session.privileged || !privileged)) continue
      if (smallest === null || isSmaller(session, smallest)) smallest = session
    }
    if (smallest === null) return false
    if (smallest.privileged && !privileged) return false
    if (smallest.privileged === privileged && smallest.partitions.size >= partitionCount) return false
    return this.#evict(smallest)
  }

  #evict(session: FetchSession): boolean {
    this.#sessions.delete(session.id)
    this.evictions++
    return true
  }
}

function isSmaller(a: FetchSession, b: FetchSession): boolean {
  if (a.privileged !== b.privileged) return !a.privileged
  if (a.partitions.size !== b.partitions.size) return a.partitions.size < b.partitions.size
  return a.id < b.id
}
