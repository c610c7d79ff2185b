import type { Partition } from '@millrace/broker'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import { checkExchange, type TakenAway, textOf } from './exchange.ts'
import { readSegment, type StoredSegment } from './stored-batches.ts'

/** A node as far as this ghost sees it. */
export interface CompactingNode {
  readonly id: number
  readonly loop: { wallMs(): number } | null
  /** Its log directories but those that fail at present. */
  readonly onlineDirectories: readonly string[]
  /** Null: its process is down, or does not serve yet. */
  readonly broker: { partitions(): Iterable<Partition> } | null
  readonly disk: { listDirectory(path: string): string[]; peek(path: string): Buffer }
}

/** What a topic says of its compaction. */
export interface CompactionLimits {
  readonly deleteRetentionMs: number
  readonly minCompactionLagMs: number
}

/** The new name that makes an exchange one that a start would finish: from here on the contents count. */
const ANNOUNCED = /^(?<directory>\/[^/]+\/(?<topic>[^/]+)-(?<partition>[0-9]+))\/(?<base>[0-9]{20})\.log\.cleaned$/
const OFFSETS_TOPIC = '__consumer_offsets'

/**
 * Looks at every segment that a broker's compaction announces, whatever the topic, and holds it against the log as its files are
 * (`exchange.ts`); and at the logs of all replicas, which must have the same at each offset that they have (K7), and no damage that no disk
 * did (S1).
 */
export class ExchangeGhost {
  readonly #world: World
  readonly #nodes: () => readonly CompactingNode[]
  readonly #limits: ReadonlyMap<string, CompactionLimits>

  constructor(world: World, nodes: () => readonly CompactingNode[], limits: ReadonlyMap<string, CompactionLimits>) {
    this.#world = world
    this.#nodes = nodes
    this.#limits = limits
  }

  /** A file of the node is about to get another name. */
  beforeRename(node: CompactingNode, path: string): void {
    const found = ANNOUNCED.exec(path)?.groups
    if (found === undefined) return
    const { directory = '', topic = '', base } = found
    const baseOffset = Number(base)
    const made = readSegment(node.disk.peek(path), baseOffset)
    const segments = segmentsOf(node, directory)
    if (made === null || segments === null) return
    const hosted = this.#hostedAt(node, directory)
    const limits = this.#limits.get(topic)
    const taken = checkExchange(this.#world, {
      name: `node ${node.id}, ${topic}-${found.partition}`,
      segments,
      made,
      // Of a log that nobody has told the ghost of yet, nothing is known.
      logStartOffset: hosted?.log.logStartOffset ?? Number.POSITIVE_INFINITY,
      committedOffset: hosted?.log.highWatermark ?? Number.POSITIVE_INFINITY,
      nowMs: this.#isClockSteady ? (node.loop?.wallMs() ?? null) : null,
      deleteRetentionMs: limits?.deleteRetentionMs ?? null,
      minCompactionLagMs: limits?.minCompactionLagMs ?? 0,
    })
    this.#mark(topic, hosted, taken)
  }

  /** Looks for records that a node cannot read, although no bit of its disks turned over. */
  checkSound(): void {
    const { faults } = this.#world
    if (faults.has('rot') || faults.has('rot of records')) return
    for (const { id, broker } of this.#nodes()) {
      for (const { topic, partition, log } of broker?.partitions() ?? []) {
        if (!this.#limits.has(topic)) continue
        this.#world.judge('S1')
        const [damage] = log.failed ? [] : log.faultyRanges
        must(damage === undefined, 'S1', () => {
          return `node ${id} cannot read [${damage?.startOffset}, ${damage?.endOffset}) of ${topic}-${partition}, and no disk did that`
        })
      }
    }
  }

  /** K7: of two replicas that have something committed at an offset both have the same. */
  checkAgreement(topic: string, partition: number): void {
    const known = new Map<number, { readonly node: number; readonly text: string }>()
    for (const node of this.#nodes()) {
      const hosted = this.#hosted(node, topic, partition)
      if (hosted === null || hosted.log.failed || !node.onlineDirectories.includes(hosted.log.directory)) continue
      const { path, highWatermark, writtenOffset } = hosted.log
      for (const segment of filesOf(node, path)) {
        for (const { leaderEpoch, producerId, records } of segment?.batches ?? []) {
          for (const record of records) {
            if (record.offset >= Math.min(highWatermark, writtenOffset)) break
            this.#world.judge('K7')
            const text = `${textOf(record)} of producer ${producerId} in epoch ${leaderEpoch}`
            const other = known.get(record.offset)
            must(other === undefined || other.text === text, 'K7', () => {
              return `offset ${record.offset} of ${topic}-${partition} is ${text} at node ${node.id}, ${other?.text} at node ${other?.node}`
            })
            if (other === undefined) known.set(record.offset, { node: node.id, text })
          }
        }
      }
    }
  }

  /** No wall clock was set so far: what it says now follows from what it said. */
  get #isClockSteady(): boolean {
    return !this.#world.faults.has('clock jump')
  }

  #hostedAt(node: CompactingNode, directory: string): Partition | null {
    for (const hosted of node.broker?.partitions() ?? []) if (hosted.log.path === directory) return hosted
    return null
  }

  #hosted(node: CompactingNode, name: string, id: number): Partition | null {
    for (const hosted of node.broker?.partitions() ?? []) {
      if (hosted.topic === name && hosted.partition === id) return hosted
    }
    return null
  }

  #mark(topic: string, hosted: Partition | null, { recordCount, tombstoneCount, markerCount }: TakenAway): void {
    if (recordCount === 0 && markerCount === 0) return
    this.#world.mark('log compacted')
    if (hosted?.isLeader === true) this.#world.mark('log compacted by its leader')
    if (topic === OFFSETS_TOPIC) this.#world.mark('committed offsets compacted')
    if (tombstoneCount > 0) this.#world.mark('tombstone removed')
    if (markerCount > 0) this.#world.mark('marker of a transaction removed')
  }
}

/** The log files of a partition directory, in order; null: something in them cannot be told. */
function segmentsOf(node: CompactingNode, directory: string): StoredSegment[] | null {
  const segments: StoredSegment[] = []
  for (const segment of filesOf(node, directory)) {
    if (segment === null) return null
    segments.push(segment)
  }
  return segments
}

function* filesOf({ disk }: CompactingNode, directory: string): Iterable<StoredSegment | null> {
  for (const name of disk.listDirectory(directory)) {
    if (/^[0-9]{20}\.log$/.test(name)) yield readSegment(disk.peek(`${directory}/${name}`), Number.parseInt(name, 10))
  }
}
