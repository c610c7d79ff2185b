import type { Partition } from '@millrace/broker'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import type { CompactionGhost, Pass, TopicPromise } from './compaction-ghost.ts'

/** A node as far as this watch sees it. */
export interface DeletingNode {
  readonly id: number
  readonly broker: { partitions(): Iterable<Partition> } | null
}

/** What lets a replica come by records whose deletion it never gets, or by another measure of time. */
const EXCUSES = ['clock jump', 'directory fails', 'rot', 'rot of records', 'wipe']

/**
 * Deletions that every replica has met in time: what they deleted must be gone wherever they are (K4). A replica that was away for longer
 * than deletions stay may keep what they deleted, as with Kafka: there is nothing left that would tell it.
 */
export class DeletionWatch {
  readonly #world: World
  readonly #ghost: CompactionGhost
  readonly #promises: readonly TopicPromise[]
  readonly #nodes: () => readonly DeletingNode[]
  /** Nodes that held the deletion durably while it could not be removed anywhere, by topic and offset. */
  readonly #met = new Map<string, Set<number>>()

  constructor(
    world: World,
    ghost: CompactionGhost,
    promises: readonly TopicPromise[],
    nodes: () => readonly DeletingNode[],
  ) {
    this.#world = world
    this.#ghost = ghost
    this.#promises = promises
    this.#nodes = nodes
  }

  observe(): void {
    for (const { id, broker } of this.#nodes()) {
      for (const { topic, log } of broker?.partitions() ?? []) {
        const promise = this.#promises.find(({ name }) => name === topic)
        if (promise === undefined || log.failed) continue
        for (const { offset, sentMs } of this.#ghost.deletions(topic)) {
          if (this.#world.nowMs - sentMs >= promise.deleteRetentionMs || log.durableOffset <= offset) continue
          const slot = `${topic} ${offset}`
          const met = this.#met.get(slot)
          if (met === undefined) this.#met.set(slot, new Set([id]))
          else met.add(id)
        }
      }
    }
  }

  /** Of a whole topic, read from its beginning to its end while nothing else happened. */
  checkAtRest(pass: Pass): void {
    if (EXCUSES.some((fault) => this.#world.faults.has(fault))) return
    const left = new Map<string, number>()
    for (const offset of pass.read.keys()) left.set(this.#ghost.keyAt(pass.topic, offset)!, offset)
    for (const { key, offset } of this.#ghost.deletions(pass.topic)) {
      if ((this.#met.get(`${pass.topic} ${offset}`)?.size ?? 0) < this.#nodes().length) continue
      this.#world.judge('K4')
      const newest = left.get(key) ?? offset
      must(newest >= offset, 'K4', () => {
        return `key ${key} of ${pass.topic} was deleted at ${offset}; read from the beginning it has its record at ${newest} again`
      })
    }
  }
}
