import type { ControllerEvents, MetadataImage, MetadataRecord } from '@millrace/consensus'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** What every broker is told must be one and the same sequence of records, and each of them a change that is allowed (R6, R9, R10, R11, R16). */
export class MetadataGhost {
  readonly #world: World
  /** Each committed record as text, by its offset. */
  readonly #records: string[] = []
  readonly #partitions = new Map<string, { leader: number; leaderEpoch: number; partitionEpoch: number }>()

  /** Nodes that lost their disk: under which epoch, and of which partitions they do not hold everything again. */
  readonly #lost = new Map<number, { readonly brokerEpoch: number; readonly slots: Set<string> }>()
  #newest: MetadataImage | null = null

  constructor(world: World) {
    this.#world = world
  }

  /** R11: from its next registration on it leads nothing and is eligible for nothing, until it has come into sync again. */
  onDiskLost(node: number): void {
    const slots = new Set<string>()
    for (const topic of this.#newest?.topics.values() ?? []) {
      for (const id of topic.partitions.keys()) slots.add(slotOf(topic.id, id))
    }
    this.#lost.set(node, { brokerEpoch: this.#newest?.brokers.get(node)?.epoch ?? -1, slots })
  }

  /** Whether the newest metadata that anybody has been told counts the node's replica for anything that is committed. */
  isCounted(node: number, topic: string, id: number): boolean {
    const partition = this.#newest?.topics.get(topic)?.partitions[id]
    if (partition === undefined) return false
    return partition.leader === node || partition.isr.includes(node) || partition.elr.includes(node)
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
      this.#newest = image
      this.#checkLost(image)
    }
    for (const topic of image.topics.values()) {
      for (const [id, partition] of topic.partitions.entries()) {
        this.#world.judge('R10')
        const both = partition.isr.filter((replica) => partition.elr.includes(replica))
        must(both.length === 0, 'R10', () => `node ${node}: ISR and ELR of ${topic.name}-${id} share ${both}`)
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

  #checkLost(image: MetadataImage): void {
    for (const [node, { brokerEpoch, slots }] of this.#lost) {
      if ((image.brokers.get(node)?.epoch ?? -1) <= brokerEpoch) continue
      for (const topic of image.topics.values()) {
        for (const [id, { isr, elr, leader }] of topic.partitions.entries()) {
          const slot = slotOf(topic.id, id)
          if (!slots.has(slot)) continue
          this.#world.judge('R11')
          must(leader !== node && !elr.includes(node), 'R11', () => {
            return `node ${node} lost its disk, and ${topic.name}-${id} has it as leader (${leader}) or eligible (${elr})`
          })
          // That it holds all that is committed by then is R1.
          if (isr.includes(node)) slots.delete(slot)
        }
      }
    }
  }
}

function slotOf(topicId: string, partition: number): string {
  return `${topicId} ${partition}`
}
