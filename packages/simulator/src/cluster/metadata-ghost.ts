import { type ControllerEvents, isLogLost, type MetadataImage, type MetadataRecord } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** A disk that a node lost, under which epoch. */
interface LostDisk {
  readonly brokerEpoch: number
  /** Partitions of which the node does not hold everything again, each with the id of the directory that was lost; null: all were. */
  readonly slots: Map<string, string | null>
}

/** What every broker is told must be one and the same sequence of records, and each of them a change that is allowed (R6, R9, R10, R11, R16). */
export class MetadataGhost {
  readonly #world: World
  /** Each committed record as text, by its offset. */
  readonly #records: string[] = []
  readonly #partitions = new Map<string, { leader: number; leaderEpoch: number; partitionEpoch: number }>()

  /** Nodes that lost a disk: under which epoch, and of which partitions they do not hold everything again. */
  readonly #lost = new Map<number, LostDisk>()
  readonly #onReplicaRemoved: (node: number, topic: string, partition: number) => void
  #newest: MetadataImage | null = null

  /** `onReplicaRemoved`: somebody has been told that the node has no replica of a partition any more. */
  constructor(
    world: World,
    onReplicaRemoved: (node: number, topic: string, partition: number) => void = () => undefined,
  ) {
    this.#world = world
    this.#onReplicaRemoved = onReplicaRemoved
  }

  /**
   * R11: from its next registration on it leads nothing and is eligible for nothing, until it has come into sync again. `directory`: of what
   * the metadata has there only, by the directory's id; null: all that the node had is lost.
   */
  onDiskLost(node: number, directory: string | null = null): void {
    const slots = new Map<string, string | null>()
    for (const topic of this.#newest?.topics.values() ?? []) {
      for (const [id, { replicas, directories }] of topic.partitions.entries()) {
        const isIn = directory === null || directories[replicas.indexOf(node)] === directory
        if (isIn) slots.set(slotOf(topic.id, id), directory)
      }
    }
    for (const [slot, former] of this.#lost.get(node)?.slots ?? []) if (!slots.has(slot)) slots.set(slot, former)
    this.#lost.set(node, { brokerEpoch: this.#newest?.brokers.get(node)?.epoch ?? -1, slots })
  }

  /** Whether the newest metadata that anybody has been told counts the node's replica for anything that is committed. */
  isCounted(node: number, topic: string, id: number): boolean {
    const partition = this.#newest?.topics.get(topic)?.partitions[id]
    if (partition === undefined) return false
    return partition.leader === node || partition.isr.includes(node) || partition.elr.includes(node)
  }

  /** The newest leader epoch of the partition that anybody has been told, -1 before the first. */
  leaderEpochOf(topic: string, id: number): number {
    return this.#newest?.topics.get(topic)?.partitions[id]?.leaderEpoch ?? -1
  }

  /** Events of one life of a node, watched on their way. */
  watch(node: number, events: ControllerEvents, image: () => MetadataImage | null): ControllerEvents {
    let nextOffset = 0
    return {
      onRecords: (startOffset, records) => {
        must(startOffset === nextOffset, 'R16', () => {
          return `node ${node} is told records from ${startOffset} on after ${nextOffset} of them`
        })
        nextOffset = startOffset + records.length
        this.#note(node, startOffset, records)
        const now = image()
        if (now !== null) this.#checkImage(node, now)
        events.onRecords(startOffset, records)
      },
      onImage: (image) => {
        nextOffset = image.offset
        this.#checkImage(node, image)
        events.onImage(image)
      },
      onActiveController: (id) => events.onActiveController(id),
      onHeartbeatAnswer: (answer) => events.onHeartbeatAnswer(answer),
      onFatal: (error) => events.onFatal(error),
    }
  }

  #note(node: number, startOffset: number, records: readonly MetadataRecord[]): void {
    for (const [slot, record] of records.entries()) {
      const offset = startOffset + slot
      const text = JSON.stringify(record)
      this.#world.judge('R16')
      const known = this.#records[offset]
      must(known === undefined || known === text, 'R16', () => {
        return `node ${node} is told ${text} at ${offset}, another node ${known}`
      })
      if (known === undefined) this.#records[offset] = text
    }
  }

  /** R6, R9, R10 for one partition as an image has it. */
  #checkImage(node: number, image: MetadataImage): void {
    if (image.offset > (this.#newest?.offset ?? -1)) {
      const before = this.#newest
      this.#newest = image
      if (before !== null) this.#noteChanges(before, image)
      this.#checkLost(before, image)
    }
    for (const topic of image.topics.values()) {
      for (const [id, partition] of topic.partitions.entries()) {
        this.#world.judge('R10')
        const both = partition.isr.filter((replica) => partition.elr.includes(replica))
        must(both.length === 0, 'R10', () => `node ${node}: ISR and ELR of ${topic.name}-${id} share ${both}`)
        // Once somebody leads it begins another log.
        const counted = partition.leader < 0 ? [] : [...partition.isr, ...partition.elr]
        must(!counted.some((replica) => isLogLost(partition, replica)), 'R10', () => {
          return `node ${node}: ${topic.name}-${id} has a leader, and ${counted} count of ${partition.replicas} in ${partition.directories}`
        })
        const { leader, leaderEpoch, partitionEpoch } = partition
        const slot = slotOf(topic.id, id)
        const known = this.#partitions.get(slot)
        if (known !== undefined && known.partitionEpoch <= partitionEpoch) {
          must(leaderEpoch >= known.leaderEpoch, 'R6', () => `the leader epoch of ${topic.name}-${id} goes back`)
          const isNewLeader = leader !== known.leader
          must(
            !isNewLeader || leaderEpoch > known.leaderEpoch,
            'R6',
            () => `${topic.name}-${id} has two leaders in one epoch`,
          )
        }
        if (known === undefined || partitionEpoch > known.partitionEpoch) {
          this.#partitions.set(slot, { leader, leaderEpoch, partitionEpoch })
        }
      }
    }
  }

  #noteChanges(before: MetadataImage, now: MetadataImage): void {
    for (const topic of now.topics.values()) {
      for (const [id, partition] of topic.partitions.entries()) {
        const former = before.topics.get(topic.name)?.partitions[id]
        if (former === undefined || former === partition) continue
        const isFound = (replica: number) => isLogLost(former, replica) && !isLogLost(partition, replica)
        const counted = [...former.isr, ...former.elr, ...former.lastKnownElr]
        if (former.leader < 0 && counted.some(isFound)) this.#world.mark('lost log counts again')
        const removed = former.replicas.filter((replica) => !partition.replicas.includes(replica))
        const wasAdding = former.addingReplicas.length > 0 && partition.addingReplicas.length === 0
        if (removed.some((replica) => former.addingReplicas.includes(replica))) {
          this.#world.mark('reassignment called off')
        } else {
          if (wasAdding) this.#world.mark('replica added by a reassignment')
          if (removed.length > 0) this.#world.mark('replica removed by a reassignment')
        }
        for (const replica of removed) this.#onReplicaRemoved(replica, topic.name, id)
      }
    }
  }

  #checkLost(before: MetadataImage | null, image: MetadataImage): void {
    for (const [node, { brokerEpoch, slots }] of this.#lost) {
      const isRegistered = (image.brokers.get(node)?.epoch ?? -1) > brokerEpoch
      for (const topic of image.topics.values()) {
        for (const [id, { isr, elr, leader, replicas, directories }] of topic.partitions.entries()) {
          const slot = slotOf(topic.id, id)
          const directory = slots.get(slot)
          if (directory === undefined) continue
          if (!isRegistered) {
            // It had been moved to another directory, which the metadata did not know yet.
            if (directory !== null && directories[replicas.indexOf(node)] !== directory) slots.delete(slot)
            continue
          }
          this.#world.judge('R11')
          const former = before?.topics.get(topic.name)?.partitions[id]
          const wasMoving = former !== undefined && former.removingReplicas.length > 0
          // That it holds all that is committed by then is R1. With it a reassignment may end that takes the leader away.
          if (isr.includes(node) && (leader !== node || wasMoving)) {
            slots.delete(slot)
            continue
          }
          must(leader !== node && !elr.includes(node), 'R11', () => {
            return `node ${node} lost its disk, and ${topic.name}-${id} has it as leader (${leader}) or eligible (${elr})`
          })
        }
      }
    }
  }
}

function slotOf(topicId: string, partition: number): string {
  return `${topicId} ${partition}`
}
