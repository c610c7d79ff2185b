import type { Admin, ConsumerGroupDescription, TopicPartition } from '@millrace/client'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import type { GroupGhost } from '../group-ghost.ts'
import { FORBIDDEN_OFFSET } from './late-commits.ts'
import type { Place } from './membership-ghost.ts'

/** Partitions that the group reads, each with its number. */
interface KnownPlaces {
  readonly places: readonly Place[]
  idOf(place: Place): number
}

/** Somebody who asks what is committed. */
interface OffsetReader {
  committed(places: readonly TopicPartition[]): Promise<readonly (TopicPartition & { readonly offset: bigint })[]>
}

/** What somebody outside sees of the group: its committed offsets, and its description. */
export class GroupLook {
  readonly #world: World
  readonly #commits: GroupGhost
  readonly #known: KnownPlaces
  /** Every group epoch follows those before. False: the group may begin anew as one of the other protocol. */
  readonly #isOneProtocol: boolean
  #groupEpoch = 0

  constructor(world: World, commits: GroupGhost, known: KnownPlaces, isOneProtocol: boolean) {
    this.#world = world
    this.#commits = commits
    this.#known = known
    this.#isOneProtocol = isOneProtocol
  }

  /** G2 and G3: reads what is committed. `hasReplaced`: whether a coordinator that was replaced does not know it. */
  async readCommitted(looker: OffsetReader, hasReplaced: () => boolean): Promise<void> {
    const places = this.#known.places.map((place) => {
      const [topic = '', partition] = place.split('/')
      return { topic, partition: Number(partition) }
    })
    const beganMs = this.#world.nowMs
    const wasReplaced = hasReplaced()
    const committed = await looker.committed(places)
    const found = new Map<number, number>()
    for (const { topic, partition, offset } of committed) {
      const place = `${topic}/${partition}`
      this.#world.judge('G3')
      must(offset < FORBIDDEN_OFFSET, 'G3', () => `what a former member committed of ${place} was kept`)
      found.set(this.#known.idOf(place), Number(offset))
    }
    this.#commits.check(found, beganMs, wasReplaced || hasReplaced())
  }

  /** The group as it is described, if it is one of the newer protocol. Judged if one node alone coordinated before and after. */
  async describe(
    admin: Admin,
    groupId: string,
    coordinator: () => string | null,
  ): Promise<ConsumerGroupDescription | null> {
    const before = coordinator()
    const [group] = await admin.describeConsumerGroups([groupId])
    if (group === undefined || group.error !== null) return null
    this.judge(group, before !== null && before === coordinator())
    return group
  }

  /** G1 as a description shows it: nothing is assigned twice, epochs of members follow those of the group, which do not go back. */
  judge(group: ConsumerGroupDescription, isSure: boolean): void {
    const { groupEpoch, assignmentEpoch, members } = group
    this.#world.judge('G1')
    const owners = new Map<Place, string>()
    for (const { memberId, assignment, memberEpoch } of members) {
      must(memberEpoch <= assignmentEpoch, 'G1', () => {
        return `member ${memberId} is in epoch ${memberEpoch}; targets are of ${assignmentEpoch}`
      })
      for (const { topic, partition } of assignment) {
        const place = `${topic}/${partition}`
        const owner = owners.get(place)
        must(owner === undefined, 'G1', () => `${place} is assigned to ${owner} and to ${memberId}`)
        owners.set(place, memberId)
      }
    }
    must(assignmentEpoch <= groupEpoch, 'G1', () => `targets of ${assignmentEpoch} in a group of epoch ${groupEpoch}`)
    if (!isSure || !this.#isOneProtocol) return
    must(groupEpoch >= this.#groupEpoch, 'G1', () => `the group is in epoch ${groupEpoch} after ${this.#groupEpoch}`)
    this.#groupEpoch = groupEpoch
  }
}
