import type { GroupCoordinatorConfig } from './group-config.ts'

/** What the groups of one or several machines take up. */
interface GroupUsage {
  groups: number
  /** Members, and member ids given out that have not come back yet. */
  members: number
  /** Committed offsets: one for each partition in each group. */
  offsets: number
  /** Of what clients have the groups keep: names and ids, metadata and assignments of members, texts beside offsets. */
  bytes: number
}

/** One machine, as the limits see it. */
export interface GroupHolder {
  /** Cheap. */
  readonly groupCount: number
  readonly offsetCount: number
  /** Bytes of the texts beside offsets. */
  readonly offsetBytes: number
  /** Members, and bytes of groups and members. Looks at every group: a millisecond for some ten thousand. */
  countMembers(): { members: number; bytes: number }
}

/** How many more offsets there may be, and bytes of texts beside them. Below 0: a start found more, or limits were lowered. */
interface OffsetRoom {
  readonly count: number
  readonly bytes: number
}

/** At the bound members are counted so often at most, unless a quarter of it has come since. */
const RECOUNT_MS = 1000
const RECOUNT_SHARE = 0.25

/**
 * Bounds what clients make the groups of a node hold, over all partitions: Kafka knows `group.max.size` only, and leaves the rest to
 * expiry. At a bound nothing that exists is touched: new groups, members and offsets are refused, and tried again by clients.
 *
 * Groups and offsets are counted exactly. Members come and go in too many ways for that: those who were admitted are added up, and when
 * the bound is reached all are counted anew.
 */
export class GroupLimits {
  readonly #config: GroupCoordinatorConfig
  readonly #holders: () => Iterable<GroupHolder>
  /** As of the last count. */
  #members = 0
  #memberBytes = 0
  #countedMs = Number.NEGATIVE_INFINITY
  /** Admitted since. */
  #newMembers = 0
  #newMemberBytes = 0

  constructor(config: GroupCoordinatorConfig, holders: () => Iterable<GroupHolder>) {
    this.#config = config
    this.#holders = holders
  }

  hasRoomForGroup(): boolean {
    let count = 0
    for (const { groupCount } of this.#holders()) count += groupCount
    return count < this.#config.groupCoordinatorMaxGroups
  }

  /** Null: there may be so many more offsets, with so many bytes of texts beside them. Otherwise how many and how much. */
  shortageOfOffsets(count: number, bytes: number, nowMs: number): OffsetRoom | null {
    let room = this.#offsetRoom()
    if (bytes > room.bytes && this.#recount(nowMs)) room = this.#offsetRoom()
    return count <= room.count && bytes <= room.bytes ? null : room
  }

  /** Whether so many new members may come, and so many bytes of groups and members more than there are. Counts them if so. */
  admit(members: number, bytes: number, nowMs: number): boolean {
    if (!this.#fits(members, bytes) && !(this.#recount(nowMs) && this.#fits(members, bytes))) return false
    this.#newMembers += members
    this.#newMemberBytes += bytes
    return true
  }

  /** Exact, and not cheap. */
  usage(): GroupUsage {
    const usage: GroupUsage = { groups: 0, members: 0, offsets: 0, bytes: 0 }
    for (const holder of this.#holders()) {
      const { members, bytes } = holder.countMembers()
      usage.groups += holder.groupCount
      usage.members += members
      usage.offsets += holder.offsetCount
      usage.bytes += bytes + holder.offsetBytes
    }
    return usage
  }

  #fits(members: number, bytes: number): boolean {
    const { groupCoordinatorMaxMembers } = this.#config
    if (members > 0 && this.#members + this.#newMembers + members > groupCoordinatorMaxMembers) return false
    return bytes === 0 || bytes <= this.#offsetRoom().bytes
  }

  #offsetRoom(): OffsetRoom {
    let count = 0
    let bytes = this.#memberBytes + this.#newMemberBytes
    for (const { offsetCount, offsetBytes } of this.#holders()) {
      count += offsetCount
      bytes += offsetBytes
    }
    return {
      count: this.#config.groupCoordinatorMaxOffsets - count,
      bytes: this.#config.groupCoordinatorMaxBytes - bytes,
    }
  }

  /** False: it was done a moment ago, and not much has come since. */
  #recount(nowMs: number): boolean {
    const { groupCoordinatorMaxMembers, groupCoordinatorMaxBytes } = this.#config
    const isMuch =
      this.#newMembers > groupCoordinatorMaxMembers * RECOUNT_SHARE ||
      this.#newMemberBytes > groupCoordinatorMaxBytes * RECOUNT_SHARE
    // The wall clock may have been set back.
    if (!isMuch && Math.abs(nowMs - this.#countedMs) < RECOUNT_MS) return false
    this.#members = 0
    this.#memberBytes = 0
    for (const holder of this.#holders()) {
      const { members, bytes } = holder.countMembers()
      this.#members += members
      this.#memberBytes += bytes
    }
    this.#countedMs = nowMs
    this.#newMembers = 0
    this.#newMemberBytes = 0
    return true
  }
}
