import type { Partition } from '@millrace/broker'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** A node as far as this ghost sees it. */
export interface MovingNode {
  readonly id: number
  /** Which life of the node this is. */
  readonly lifeCount: number
  /** Null: its process is down, or does not serve yet. */
  readonly broker: { partitions(): Iterable<Partition> } | null
  /** Its log directories but those that fail at present. */
  readonly onlineDirectories: readonly string[]
  readonly disk: {
    listDirectory(path: string): string[]
    stat(path: string): { readonly isDirectory: boolean } | null
  }
}

/** What is committed, as others know it. */
export interface Committed {
  committedOffset(partition: number): number
  /** The epochs of committed records, rising: each from its offset on. */
  committedEpochs(partition: number): readonly { readonly offset: number; readonly epoch: number }[]
}

/** What a replica held when it was looked at last. */
interface ReplicaSeen {
  readonly lifeCount: number
  readonly hosted: Partition
  readonly log: Partition['log']
  readonly directory: string
  /** Below it everything was durable there, and committed. */
  readonly certainOffset: number
}

/**
 * Replicas and the log directories that hold them (`docs/adr/0009`). At every moment a node serves one log of a partition, and no other of
 * its directories has one that counts (M1); the log that takes the place of another, at the end of a move or at a start, lacks nothing
 * that was durable and committed in the other (M2).
 */
export class MoveGhost {
  readonly #world: World
  readonly #topic: string
  readonly #nodes: () => readonly MovingNode[]
  readonly #committed: Committed
  readonly #seen = new Map<number, Map<number, ReplicaSeen>>()
  /** Nodes whose names of logs may be others than before. */
  readonly #renamed = new Set<number>()
  /** Nodes some of whose records were damaged: they cut them off to fetch them again. */
  readonly #rotten = new Set<number>()

  constructor(world: World, topic: string, nodes: () => readonly MovingNode[], committed: Committed) {
    this.#world = world
    this.#topic = topic
    this.#nodes = nodes
    this.#committed = committed
  }

  /** A name in a log directory of the node is about to be another, or a start of it has ended. */
  onRenamed(node: number): void {
    this.#renamed.add(node)
  }

  /** Its records are not what they were. */
  onRotten(node: number): void {
    this.#rotten.add(node)
  }

  /** A disk of it is not what it was, or the partition (null: any) is no more on it. */
  forget(node: number, partition: number | null = null): void {
    if (partition === null) this.#seen.delete(node)
    else this.#seen.get(node)?.delete(partition)
  }

  /** After each event. */
  afterEvent(): void {
    if (this.#renamed.size === 0) return
    for (const node of this.#nodes()) {
      if (!this.#renamed.has(node.id)) continue
      this.#checkNames(node)
      this.#observeNode(node)
    }
    this.#renamed.clear()
  }

  /** Looks at all nodes: at any moment, and always before one of them ends. */
  observe(): void {
    for (const node of this.#nodes()) this.#observeNode(node)
  }

  #checkNames(node: MovingNode): void {
    if (node.broker === null) return
    for (const { topic, partition, log } of node.broker.partitions()) {
      if (log.failed) continue
      this.#world.judge('M1')
      const name = `${topic}-${partition}`
      const others = node.onlineDirectories.filter((directory) => directory !== log.directory)
      const counting = others.map((directory) => `${directory}/${name}`).filter((path) => holdsLog(node, path))
      must(counting.length === 0 && node.disk.stat(`${log.directory}/${name}`)?.isDirectory === true, 'M1', () => {
        return `node ${node.id} serves ${name} from ${log.directory}; logs of it besides: ${counting.join(', ') || 'none, nor that one'}`
      })
    }
  }

  #observeNode(node: MovingNode): void {
    if (node.broker === null) return
    let seen = this.#seen.get(node.id)
    if (seen === undefined) {
      seen = new Map()
      this.#seen.set(node.id, seen)
    }
    const { lifeCount } = node
    const absent = new Set(seen.keys())
    for (const hosted of node.broker.partitions()) {
      const { topic, partition, log } = hosted
      if (topic !== this.#topic) continue
      absent.delete(partition)
      if (log.failed) continue
      const before = seen.get(partition)
      // One that was here, went, and has come again is another replica.
      const isSame = before !== undefined && (before.lifeCount !== lifeCount || before.hosted === hosted)
      if (isSame && before.log !== log) this.#checkSuccessor(node, before, hosted)
      const certainOffset = this.#certainOffset(partition, log)
      seen.set(partition, { lifeCount, hosted, log, directory: log.directory, certainOffset })
    }
    for (const partition of absent) seen.delete(partition)
  }

  /** Up to where the log durably holds what is committed: behind that it may have what another epoch replaced elsewhere. */
  #certainOffset(partition: number, log: Partition['log']): number {
    const epochs = this.#committed.committedEpochs(partition)
    let offset = Math.min(log.durableOffset, this.#committed.committedOffset(partition))
    const isCommitted = (last: number): boolean => {
      return log.epochOf(last) === epochs.findLast((entry) => entry.offset <= last)?.epoch
    }
    while (offset > log.logStartOffset && !isCommitted(offset - 1)) offset--
    return offset
  }

  #checkSuccessor(node: MovingNode, before: ReplicaSeen, { partition, log }: Partition): void {
    const how = before.lifeCount === node.lifeCount ? 'a move' : 'a start'
    if (how === 'a move') this.#world.mark('replica moved to another directory')
    else if (before.directory !== log.directory) this.#world.mark('start with a replica in another directory')
    if (this.#rotten.has(node.id)) return
    this.#world.judge('M2')
    const { certainOffset } = before
    must(log.logEndOffset >= certainOffset, 'M2', () => {
      return `after ${how} node ${node.id} has partition ${partition} up to ${log.logEndOffset} in ${log.directory}; durable and committed was all up to ${certainOffset} in ${before.directory}`
    })
    for (const { offset, epoch } of this.#committed.committedEpochs(partition)) {
      if (offset < log.logStartOffset || offset >= certainOffset) continue
      must(log.epochOf(offset) === epoch, 'M2', () => {
        return `after ${how} node ${node.id} has offset ${offset} of partition ${partition} in epoch ${log.epochOf(offset)}; committed is that of ${epoch}`
      })
    }
  }
}

function holdsLog({ disk }: MovingNode, path: string): boolean {
  return disk.stat(path)?.isDirectory === true && disk.listDirectory(path).some((name) => name.endsWith('.log'))
}
