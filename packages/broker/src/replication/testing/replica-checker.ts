import { BATCH_HEADER_BYTES, baseOffsetOf, batchSizeOf, lastOffsetOf, partitionLeaderEpochOf } from '@millrace/protocol'
import { type Log, ReadResult } from '@millrace/storage'
import { valuesIn } from '../../testing/data-client.ts'
import { type ReplicaCluster, TOPIC } from './replica-cluster.ts'
import type { ReplicaNode } from './replica-node.ts'

/** What the checker knows of one partition, and no node does. */
interface Ghost {
  /** By offset: epoch and value of all that was ever below a high watermark (R3). */
  readonly committed: Map<number, string>
  /** The largest high watermark that was ever seen. */
  highWatermark: number
  readonly acked: Map<number, string>
}

/** The invariants of `reliability.md`, 1.2, as far as replicas can break them: R1, R3 to R6, R8, R13 and R15. Throws at the first that is. */
export class ReplicaChecker {
  readonly #cluster: ReplicaCluster
  readonly #partitions: readonly Ghost[]
  /** Where each life's logs ended at its start: that much survived the crash, so it is durable whatever the marks say. */
  readonly #survived = new Map<Log, number>()
  readonly #logStarts = new Map<Log, number>()

  constructor(cluster: ReplicaCluster, partitionCount: number) {
    this.#cluster = cluster
    this.#partitions = Array.from({ length: partitionCount }, () => ({
      committed: new Map(),
      highWatermark: 0,
      acked: new Map(),
    }))
  }

  /** A node has a new life. */
  onStarted(node: ReplicaNode): void {
    for (let partition = 0; partition < this.#partitions.length; partition++) {
      const log = node.partition(TOPIC, partition)?.log
      if (log !== undefined) this.#survived.set(log, log.logEndOffset)
    }
  }

  onAcked(partition: number, offset: number, value: string): void {
    const ghost = this.#partitions[partition]!
    if (ghost.acked.has(offset)) throw new Error(`offset ${offset} was given twice (R13)`)
    ghost.acked.set(offset, value)
    const lives = [...this.#cluster.lives.values()]
    const holders = lives.filter((node) => this.#durable(node, partition) > offset)
    if (holders.length >= 2) return
    const ends = lives.map(
      (node) => `${node.nodeId}${node.isAlive ? '' : ' (dead)'}: ${this.#durable(node, partition)}`,
    )
    throw new Error(`${partition}: acknowledged ${offset} with durable ends ${ends.join(', ')} (R5)`)
  }

  async check(): Promise<void> {
    for (let partition = 0; partition < this.#partitions.length; partition++) await this.#checkPartition(partition)
  }

  /** All logs are equal, and hold what was acknowledged. */
  async checkEnd(): Promise<void> {
    await this.check()
    for (const [partition, ghost] of this.#partitions.entries()) {
      const nodes = this.#cluster.liveNodes
      const start = Math.max(...nodes.map((node) => logOf(node, partition).logStartOffset))
      const end = Math.max(...nodes.map((node) => logOf(node, partition).logEndOffset))
      const contents = await Promise.all(nodes.map((node) => this.#cluster.read(node, partition, start, end)))
      for (const content of contents) if (!content.equals(contents[0]!)) throw new Error('logs differ in the end')
      const records = recordsIn(contents[0]!)
      for (const [offset, value] of ghost.acked) {
        if (offset < start) continue
        if (!records.get(offset)?.endsWith(` ${value}`)) throw new Error(`acknowledged ${offset} is lost (R4)`)
      }
    }
  }

  async #checkPartition(partition: number): Promise<void> {
    const ghost = this.#partitions[partition]!
    for (const node of this.#cluster.liveNodes) {
      const log = node.partition(TOPIC, partition)?.log
      if (log === undefined || log.failed) continue
      this.#checkOffsets(node, log)
      await this.#checkContents(ghost, node, partition, log)
    }
    const image = this.#cluster.controller.image.topics.get(TOPIC)?.partitions[partition]
    for (const member of image?.isr ?? []) {
      const node = this.#cluster.lives.get(member)
      if (node?.partition(TOPIC, partition) == null) continue
      const durable = this.#durable(node, partition)
      if (durable >= ghost.highWatermark) continue
      throw new Error(
        `${member} is in sync with ${durable} durable, below the watermark ${ghost.highWatermark} (R1, R4)`,
      )
    }
  }

  #checkOffsets({ nodeId }: ReplicaNode, log: Log): void {
    const { logStartOffset, highWatermark, logEndOffset } = log
    const isOrdered = logStartOffset <= highWatermark && highWatermark <= logEndOffset
    if (!isOrdered)
      throw new Error(`${nodeId}: ${logStartOffset} ≤ ${highWatermark} ≤ ${logEndOffset} does not hold (R15)`)
    const before = this.#logStarts.get(log) ?? 0
    if (logStartOffset < before) throw new Error(`${nodeId}: log start went back from ${before} (R15)`)
    this.#logStarts.set(log, logStartOffset)
  }

  async #checkContents(ghost: Ghost, node: ReplicaNode, partition: number, log: Log): Promise<void> {
    const { logStartOffset, highWatermark } = log
    // What is damaged is refused, to this reader as well.
    if (!(await isSound(log))) return
    const bytes = await this.#cluster.read(node, partition, logStartOffset, highWatermark)
    let expected = logStartOffset
    for (const [offset, record] of recordsIn(bytes)) {
      if (offset >= logStartOffset && offset !== expected++)
        throw new Error(`${node.nodeId}: gap before ${offset} (R13)`)
      const known = ghost.committed.get(offset)
      if (known === undefined) ghost.committed.set(offset, record)
      else if (known !== record) throw new Error(`${node.nodeId}: ${offset} was ${known} and is ${record} (R3, R8)`)
      const epoch = log.epochOf(offset)
      if (!record.startsWith(`${epoch} `)) throw new Error(`${node.nodeId}: epoch of ${offset} is ${epoch} (R6)`)
    }
    ghost.highWatermark = Math.max(ghost.highWatermark, highWatermark)
  }

  #durable(node: ReplicaNode, partition: number): number {
    const log = node.partition(TOPIC, partition)?.log
    if (log === undefined) return 0
    return Math.max(log.durableOffset, Math.min(this.#survived.get(log) ?? 0, log.logEndOffset))
  }
}

/** Whether all of the log can be read: reads are what finds damage. */
async function isSound(log: Log): Promise<boolean> {
  const result = new ReadResult()
  for (let offset = log.logStartOffset; offset < log.writtenOffset; offset = result.lastOffset + 1) {
    if (!(await log.read(offset, 100_000, log.writtenOffset, true, result))) {
      if (log.faultyRanges.length === 0) throw new Error(`${offset} is refused with ${result.errorCode}`)
      return false
    }
    if (result.sizeBytes === 0) return true
  }
  return true
}

function logOf(node: ReplicaNode, partition: number): Log {
  return node.partition(TOPIC, partition)!.log
}

/** Epoch and value by offset, of batches with one record each. */
function recordsIn(bytes: Buffer): Map<number, string> {
  const records = new Map<number, string>()
  for (let position = 0; position + BATCH_HEADER_BYTES <= bytes.length; ) {
    const end = position + batchSizeOf(bytes, position)
    const [value] = valuesIn(bytes.subarray(position, end))
    if (baseOffsetOf(bytes, position) !== lastOffsetOf(bytes, position)) throw new Error('one record per batch')
    records.set(baseOffsetOf(bytes, position), `${partitionLeaderEpochOf(bytes, position)} ${value}`)
    position = end
  }
  return records
}
