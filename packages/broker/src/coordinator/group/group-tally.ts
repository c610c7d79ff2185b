import type { ValueTally } from '../runtime/timeline.ts'
import type { ClassicGroup } from './classic-group.ts'
import type { GroupUsage } from './group-usage.ts'

/** Counts the groups of a map, and tells them where to count what becomes of them. */
export class GroupTally implements ValueTally<ClassicGroup> {
  readonly #usage: GroupUsage

  constructor(usage: GroupUsage) {
    this.#usage = usage
  }

  onAdded(group: ClassicGroup): void {
    group.countIn(this.#usage)
  }

  onRemoved(group: ClassicGroup): void {
    group.countIn(null)
  }
}
