import type { ValueTally } from '../runtime/timeline.ts'
import type { Group } from './group.ts'
import type { GroupUsage } from './group-usage.ts'

/** Counts the groups of a map, and tells them where to count what becomes of them. */
export class GroupTally implements ValueTally<Group> {
  readonly #usage: GroupUsage

  constructor(usage: GroupUsage) {
    this.#usage = usage
  }

  onAdded(group: Group): void {
    group.countIn(this.#usage)
  }

  onRemoved(group: Group): void {
    group.countIn(null)
  }
}
