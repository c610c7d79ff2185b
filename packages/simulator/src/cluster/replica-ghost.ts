import type { Partition } from '@millrace/broker'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** A node as far as this ghost sees it. */
export interface WatchedNode {
  readonly id: number
  readonly isUp: boolean
  /** Null: its process is down, or does not serve yet. */
  readonly broker: { partitions(): Iterable<Partition> } | null
}

/** What is known of one replica. */
interface ReplicaKnown {
  /** Up to where it is durable there; null: not known, since it was not seen since a life began. */
  durableOffset: number | null
}

/** Epochs of a log from some offset on, before something of it may be cut away. */
interface BeforeCut {
  readonly node: number
  readonly log: Partition['log']
  readonly partition: number
  readonly endOffset: number
  readonly epochs: readonly { readonly offset: number; readonly epoch: number }[]
}

/**
 * Replicas of one topic, seen from within the nodes: how far each is durable and how far leaders say that all is committed. A leader's
 * high watermark is never beyond what any member of the maximal ISR holds durably (R1), a new leader holds all below the greatest
 * watermark there was (R4), what clients are told lies below it (R2, R5), and no follower cuts away what is committed (R8). Of a node that is down,
 * what it held durably at its end counts.
 */
export class ReplicaGhost {
  readonly #world: World
  readonly #topic: string
  readonly #partitionCount: number
  readonly #minIsr: number
  readonly #nodes: () => readonly WatchedNode[]
  readonly #isCounted: (node: number, partition: number) => boolean
  /** By partition, the greatest high watermark of any leader. */
  readonly #committed = new Map<number, number>()
  /** By partition, which epoch each committed offset is of: (first offset, epoch), rising. */
  readonly #epochs = new Map<number, { readonly offset: number; readonly epoch: number }[]>()
  readonly #known = new Map<number, Map<number, ReplicaKnown>>()
  /** By partition, the greatest leader epoch that any node was in, also one whose replica is gone since. */
  readonly #newestEpochs = new Map<number, number>()
  #cuts: BeforeCut[] = []
  /** Of a client, in which the nodes were looked at last. */
  #observedEvent = -1
  /** Partitions that a node may lead, or may have led, which is up and not to be seen: its start has not ended. */
  readonly #unseen = new Set<number>()
  /** Nodes that once lost a disk or a replica, and of each the partitions whose newest leader has not been seen without them since. */
  readonly #lost = new Map<number, Set<number>>()
  /** Nodes some of whose records were damaged: they may throw records away to fetch them again, once they count for nothing. */
  readonly #rotten = new Set<number>()

  constructor(
    world: World,
    topic: { readonly name: string; readonly partitionCount: number; readonly minIsr: number },
    nodes: () => readonly WatchedNode[],
    isCounted: (node: number, partition: number) => boolean = () => true,
  ) {
    const { name, partitionCount, minIsr } = topic
    this.#world = world
    this.#topic = name
    this.#partitionCount = partitionCount
    this.#minIsr = minIsr
    this.#nodes = nodes
    this.#isCounted = isCounted
  }

  committedOffset(partition: number): number {
    return this.#committed.get(partition) ?? 0
  }

  /** The epochs of committed records, rising: each from its offset on. */
  committedEpochs(partition: number): readonly { readonly offset: number; readonly epoch: number }[] {
    return this.#epochs.get(partition) ?? []
  }

  /** R2: a consumer was given this offset. */
  onConsumed(partition: number, offset: number): void {
    if (this.#unseen.has(partition)) return
    this.#world.judge('R2')
    must(offset < this.committedOffset(partition), 'R2', () => {
      return `a consumer has offset ${offset} of partition ${partition}, committed is up to ${this.committedOffset(partition)}`
    })
  }

  /** R5: a producer was told that its record is stored there, by all. */
  onAcked(partition: number, offset: number): void {
    if (this.#unseen.has(partition)) return
    this.#world.judge('R5')
    must(offset < this.committedOffset(partition), 'R5', () => {
      return `offset ${offset} of partition ${partition} is acknowledged, committed is up to ${this.committedOffset(partition)}`
    })
    const holders = this.#holdersOf(partition, offset)
    must(holders.length >= this.#minIsr, 'R5', () => {
      return `offset ${offset} of partition ${partition} is acknowledged and durable at ${holders.map(({ id }) => id)} only`
    })
  }

  /** Something of a log is about to be removed. */
  beforeCut(node: number, partitionId: number): void {
    const watched = this.#nodes().find(({ id }) => id === node)
    if (this.#cuts.some((cut) => cut.node === node && cut.partition === partitionId)) return
    for (const { topic, partition, log } of watched?.broker?.partitions() ?? []) {
      if (topic !== this.#topic || partition !== partitionId) continue
      const epochs: { offset: number; epoch: number }[] = []
      const endOffset = Math.min(log.logEndOffset, this.committedOffset(partition))
      for (let offset = log.logStartOffset; offset < endOffset; offset++)
        epochs.push({ offset, epoch: log.epochOf(offset) })
      this.#cuts.push({ node, log, partition, endOffset: log.logEndOffset, epochs })
    }
  }

  /** After each event. */
  afterEvent(): void {
    if (this.#cuts.length === 0) return
    const cuts = this.#cuts
    this.#cuts = []
    for (const cut of cuts) this.#checkCut(cut)
  }

  /** The same as {@link observe}, for what happens in an event of a client, during which no node changes: once is enough. */
  observeInClient(): void {
    const { eventCount } = this.#world
    if (eventCount !== this.#observedEvent) this.observe()
    this.#observedEvent = eventCount
  }

  /** Looks at all nodes: at any moment, and always before one of them ends. */
  observe(): void {
    const nodes = this.#nodes()
    for (const node of nodes) this.#note(node)
    const isAllSeen = nodes.every(({ isUp, broker }) => !isUp || broker !== null)
    if (!isAllSeen) for (let partition = 0; partition < this.#partitionCount; partition++) this.#unseen.add(partition)
    for (const node of nodes) {
      for (const partition of node.broker?.partitions() ?? []) {
        if (partition.topic !== this.#topic) continue
        this.#noteLost(partition)
        this.#checkCommit(node, partition)
        if (partition.leading === null) continue
        this.#checkLeader(node, partition)
        const isNewest = partition.leaderEpoch >= this.#newestEpoch(partition.partition)
        if (isAllSeen && isNewest && partition.isHighWatermarkCurrent) this.#unseen.delete(partition.partition)
      }
    }
  }

  /** What it held that was not seen in this life is not known. Called after a last {@link observe}. */
  onEnded(node: number, wasServing: boolean): void {
    if (wasServing) return
    for (const known of this.#known.get(node)?.values() ?? []) known.durableOffset = null
  }

  /** Some of its records are damaged. */
  onRecordsRotten(node: number): void {
    this.#rotten.add(node)
  }

  /** Its disk is not what it was: nothing is expected of it until it is seen again. */
  forget(node: number): void {
    this.#known.delete(node)
    this.#lost.set(node, new Set(Array.from({ length: this.#partitionCount }, (_, partition) => partition)))
  }

  /** The node has no replica of the partition any more, says the metadata: the one that it may get later is another one. */
  forgetReplica(node: number, partition: number): void {
    this.#known.get(node)?.delete(partition)
    const lost = this.#lost.get(node)
    if (lost === undefined) this.#lost.set(node, new Set([partition]))
    else lost.add(partition)
  }

  #note(node: WatchedNode): void {
    let known = this.#known.get(node.id)
    if (known === undefined) {
      known = new Map()
      this.#known.set(node.id, known)
    }
    if (node.broker === null) return
    let count = 0
    for (const { topic, partition, log, leaderEpoch } of node.broker.partitions()) {
      if (topic !== this.#topic) continue
      known.set(partition, { durableOffset: log.durableOffset })
      if (leaderEpoch > this.#newestEpoch(partition)) this.#newestEpochs.set(partition, leaderEpoch)
      count++
    }
    if (known.size > count) this.#dropAbsent(known, node.broker.partitions())
  }

  /** What a serving node does not host it does not hold. */
  #dropAbsent(known: Map<number, ReplicaKnown>, hosted: Iterable<Partition>): void {
    const here = new Set<number>()
    for (const { topic, partition } of hosted) if (topic === this.#topic) here.add(partition)
    for (const partition of known.keys()) if (!here.has(partition)) known.delete(partition)
  }

  /** The newest leader goes on without a disk that was lost: from now on the disk's new replica has to hold what it is counted for. */
  #noteLost({ partition, leading }: Partition): void {
    if (leading === null || leading.leaderEpoch < this.#newestEpoch(partition)) return
    for (const [lost, partitions] of this.#lost) {
      if (!leading.isr.includes(lost) && leading.proposal?.isr.includes(lost) !== true) partitions.delete(partition)
    }
  }

  /** R1. A leadership may be over before anybody looked at what it committed last: then enough replicas must hold that. */
  #checkCommit(node: WatchedNode, { partition, log, leading }: Partition): void {
    const { highWatermark } = log
    const before = this.committedOffset(partition)
    if (highWatermark <= before) return
    this.#world.judge('R1')
    if (leading !== null) {
      const isr = new Set([node.id, ...leading.isr, ...(leading.proposal?.isr ?? [])])
      const isNewest = leading.leaderEpoch >= this.#newestEpoch(partition)
      for (const [lost, partitions] of this.#lost) {
        // What a leader that has not heard of the loss, or of its successor, was told before still counts for it.
        if (!isNewest || partitions.has(partition)) isr.delete(lost)
      }
      // The same of what was thrown away since to be fetched again: a later leader does without it.
      if (!isNewest) for (const rotten of this.#rotten) isr.delete(rotten)
      this.#judgeCommit(node, partition, highWatermark, isr)
    } else {
      const holders = this.#holdersOf(partition, highWatermark - 1)
      must(holders.length >= this.#minIsr, 'R1', () => {
        return `node ${node.id} takes partition ${partition} for committed up to ${highWatermark}; durable at ${holders.map(({ id }) => id)} only`
      })
    }
    this.#noteEpochs(partition, log, before, highWatermark)
    this.#committed.set(partition, highWatermark)
  }

  #checkLeader(node: WatchedNode, { partition, log, leaderEpoch }: Partition): void {
    // In an epoch that is over nobody has to follow any more.
    if (leaderEpoch < this.#newestEpoch(partition)) return
    const committedOffset = this.committedOffset(partition)
    this.#world.judge('R4')
    must(log.logEndOffset >= committedOffset, 'R4', () => {
      return `node ${node.id} leads partition ${partition} in epoch ${leaderEpoch} and ends at ${log.logEndOffset}, committed is up to ${committedOffset}`
    })
  }

  /** Nodes that hold the offset durably, as far as is known. */
  #holdersOf(partition: number, offset: number): WatchedNode[] {
    return this.#nodes().filter(({ id, broker }) => {
      const known = this.#known.get(id)?.get(partition)
      if (known === undefined) return broker === null
      return known.durableOffset === null || known.durableOffset > offset
    })
  }

  #judgeCommit(node: WatchedNode, partition: number, highWatermark: number, isr: ReadonlySet<number>): void {
    for (const member of isr) {
      const watched = this.#nodes().find(({ id }) => id === member)
      // One that lives and does not serve yet may hold more than was seen of it.
      if (watched?.isUp === true && watched.broker === null) continue
      const durableOffset = this.#known.get(member)?.get(partition)?.durableOffset ?? null
      if (durableOffset === null) continue
      must(durableOffset >= highWatermark, 'R1', () => {
        return `leader ${node.id} has committed partition ${partition} up to ${highWatermark}, node ${member} of the ISR (${[...isr]}) holds ${durableOffset} durably`
      })
    }
  }

  #newestEpoch(partition: number): number {
    return this.#newestEpochs.get(partition) ?? 0
  }

  #noteEpochs(partition: number, log: Partition['log'], from: number, to: number): void {
    let epochs = this.#epochs.get(partition)
    if (epochs === undefined) {
      epochs = []
      this.#epochs.set(partition, epochs)
    }
    for (let offset = Math.max(from, log.logStartOffset); offset < to; offset++) {
      const epoch = log.epochOf(offset)
      if (epochs.at(-1)?.epoch !== epoch) epochs.push({ offset, epoch })
    }
  }

  #checkCut({ node, log, partition, endOffset, epochs }: BeforeCut): void {
    if (log.logEndOffset >= endOffset || log.failed) return
    this.#world.mark('log of a replica cut')
    this.#world.judge('R8')
    const committed = this.#epochs.get(partition) ?? []
    if (this.#rotten.has(node) && !this.#isCounted(node, partition)) {
      this.#world.mark('damaged replica fetched again')
      return
    }
    for (const { offset, epoch } of epochs) {
      if (offset < log.logEndOffset || offset >= this.committedOffset(partition)) continue
      const kept = committed.findLast((entry) => entry.offset <= offset)?.epoch
      must(epoch !== kept, 'R8', () => {
        return `node ${node} cuts partition ${partition} from ${endOffset} to ${log.logEndOffset}; ${offset} of epoch ${epoch} is committed`
      })
    }
  }
}
