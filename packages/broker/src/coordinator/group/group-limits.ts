import { isShared, roomForClient, shareKeyOf } from '../../client-share.ts'
import type { GroupCoordinatorConfig } from './group-config.ts'
import { GroupUsage } from './group-usage.ts'

/** How many more offsets there may be, and bytes of texts beside them. 0 or less: a start found more, or limits were lowered. */
interface OffsetRoom {
  readonly count: number
  readonly bytes: number
}

/**
 * Bounds what clients make the groups of a node hold, over all partitions: Kafka knows `group.max.size` only, and leaves the rest to
 * expiry. At a bound nothing that exists is touched: new groups, members and offsets are refused, and tried again by clients.
 *
 * Whoever comes first could so keep everybody else out, for as long as offsets are kept. Therefore, from half of a bound on, one client
 * address gets a share only of what is left (`client-share.ts`). All is counted exactly, as it comes and goes.
 */
export class GroupLimits {
  /** Of all machines. */
  readonly usage = new GroupUsage()
  readonly #config: GroupCoordinatorConfig

  constructor(config: GroupCoordinatorConfig) {
    this.#config = config
  }

  /** For a new machine, which closes it when its end has come. */
  openUsage(): GroupUsage {
    return new GroupUsage(this.usage)
  }

  /** Whom to count what is added now against; null while there is plenty of everything. */
  ownerAt(clientAddress: string): string | null {
    const { groupCoordinatorMaxGroups, groupCoordinatorMaxMembers } = this.#config
    const { groupCoordinatorMaxOffsets, groupCoordinatorMaxBytes } = this.#config
    const { groups, members, offsets, bytes } = this.usage
    const areShared =
      isShared(groupCoordinatorMaxGroups, groups) ||
      isShared(groupCoordinatorMaxMembers, members) ||
      isShared(groupCoordinatorMaxOffsets, offsets) ||
      isShared(groupCoordinatorMaxBytes, bytes)
    return areShared ? shareKeyOf(clientAddress) : null
  }

  hasRoomForGroup(owner: string | null): boolean {
    const { groups } = this.usage
    return roomForClient(this.#config.groupCoordinatorMaxGroups, groups, this.#heldBy(owner).groups) > 0
  }

  /** Whether so many new members may come, and so many bytes of groups and members more than there are. */
  hasRoomFor(members: number, bytes: number, owner: string | null): boolean {
    const { groupCoordinatorMaxMembers } = this.#config
    const held = this.#heldBy(owner)
    if (members > 0 && members > roomForClient(groupCoordinatorMaxMembers, this.usage.members, held.members))
      return false
    return bytes <= 0 || bytes <= this.#roomForBytes(held.bytes)
  }

  /** Null: there may be so many more offsets, with so many bytes of texts beside them. Otherwise how many and how much. */
  shortageOfOffsets(count: number, bytes: number, owner: string | null): OffsetRoom | null {
    const held = this.#heldBy(owner)
    const countRoom = roomForClient(this.#config.groupCoordinatorMaxOffsets, this.usage.offsets, held.offsets)
    const bytesRoom = this.#roomForBytes(held.bytes)
    return count <= countRoom && bytes <= bytesRoom ? null : { count: countRoom, bytes: bytesRoom }
  }

  #roomForBytes(heldBytes: number): number {
    return roomForClient(this.#config.groupCoordinatorMaxBytes, this.usage.bytes, heldBytes)
  }

  #heldBy(owner: string | null) {
    return this.usage.holdingsOf(owner ?? '')
  }
}
