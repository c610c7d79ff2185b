import type { Admin, LogDirMove, Reassignment } from '@millrace/client'
import type { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import type { World } from '../world/world.ts'

export interface MoverOptions {
  readonly world: World
  readonly admin: Admin
  /** Of the process that the administrator runs in. */
  readonly loop: ProcessLoop
  readonly nodeCount: number
  /** Paths of the log directories that each node has. */
  readonly directories: readonly string[]
  /** What may be moved, by topic and number. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[]
  /** Milliseconds between two moves, on average. */
  readonly everyMs: number
  /** Runs a call that may fail as calls may while nodes do. */
  call(name: string, call: () => Promise<void>): Promise<boolean>
}

/** An answer that does not come is asked for no longer: the next move is begun. */
const TIMEOUT_MS = 4_000
/** A change of mind follows after this, on average: amid the move, or just when it is done. */
const SECOND_THOUGHT_MS = 40
const SECOND_THOUGHTS = 0.35
/** Share of moves between directories of a node; the others are between nodes. */
const WITHIN_NODE = 0.6
/** `min.insync.replicas` is 2. */
const REPLICAS_MIN = 2

/** An administrator who moves replicas, between the log directories of their nodes and between nodes, and takes some of it back. */
export class Mover {
  readonly #options: MoverOptions
  readonly #random: RandomStream

  constructor(options: MoverOptions) {
    this.#options = options
    this.#random = options.world.stream('moves')
  }

  /** Moves until it is over. */
  async run(isOver: () => boolean): Promise<void> {
    const { everyMs } = this.#options
    for (;;) {
      await this.#pass(this.#random.exponential(everyMs))
      if (isOver()) return
      if (this.#random.chance(WITHIN_NODE)) await this.#moveWithinNode()
      else await this.#reassign()
    }
  }

  async #moveWithinNode(): Promise<void> {
    const { nodeCount, directories, partitions } = this.#options
    const place = { ...this.#random.pick(partitions), nodeId: this.#random.integer(0, nodeCount) }
    const [there = '', back = ''] = this.#random.shuffled(directories)
    await this.#alterDirectory({ ...place, logDir: there })
    if (!this.#random.chance(SECOND_THOUGHTS)) return
    await this.#pass(this.#random.exponential(SECOND_THOUGHT_MS))
    await this.#alterDirectory({ ...place, logDir: back })
  }

  /** To two or three nodes in any order: replicas are added, removed, exchanged for others, or only another one is to lead. */
  async #reassign(): Promise<void> {
    const { nodeCount, partitions } = this.#options
    const place = this.#random.pick(partitions)
    const nodes = this.#random.shuffled(Array.from({ length: nodeCount }, (_, id) => id))
    const count = this.#random.integer(Math.min(REPLICAS_MIN, nodeCount), nodeCount + 1)
    await this.#alterReplicas({ ...place, replicas: nodes.slice(0, count) })
    if (!this.#random.chance(SECOND_THOUGHTS)) return
    await this.#pass(this.#random.exponential(SECOND_THOUGHT_MS))
    await this.#alterReplicas({ ...place, replicas: null })
  }

  async #alterDirectory(move: LogDirMove): Promise<void> {
    await this.#options.call('move of a log', async () => {
      const [outcome] = await this.#options.admin.alterReplicaLogDirs([move], { timeoutMs: TIMEOUT_MS })
      this.#judge(outcome?.error)
    })
  }

  async #alterReplicas(reassignment: Reassignment): Promise<void> {
    const name = reassignment.replicas === null ? 'call off of a reassignment' : 'reassignment'
    await this.#options.call(name, async () => {
      const [outcome] = await this.#options.admin.alterReassignments([reassignment], { timeoutMs: TIMEOUT_MS })
      this.#judge(outcome?.error)
    })
  }

  #judge(error: unknown): void {
    if (error === null || error === undefined) return
    const { code } = error as { code?: unknown }
    if (typeof code !== 'string' || !REFUSALS.has(code)) throw error
    this.#options.world.mark(`move refused: ${code}`)
  }

  #pass(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#options.loop.after(delayMs, 'move', resolve))
  }
}

/** There is nothing to move, or to call off, only new replicas are in sync, or a disk cannot take it. */
const REFUSALS = new Set([
  'INVALID_REPLICA_ASSIGNMENT',
  'KAFKA_STORAGE_ERROR',
  'NO_REASSIGNMENT_IN_PROGRESS',
  'REPLICA_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
])
