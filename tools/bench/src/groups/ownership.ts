/** Which member of a group has which partitions, as far as the members have been told. */
export class Ownership {
  /** By partition: how many members have it. */
  readonly #ownerCounts: Uint16Array
  /** Of the members that take part, what each has. */
  readonly #partitions = new Map<number, readonly number[]>()
  /** Partitions that exactly one member has. */
  #soleCount = 0

  constructor(partitionCount: number) {
    this.#ownerCounts = new Uint16Array(partitionCount)
  }

  /** What a member has from now on; true if that is a change. A member that has nothing yet takes part all the same. */
  set(member: number, partitions: readonly number[]): boolean {
    const before = this.#partitions.get(member)
    if (before !== undefined && isSame(before, partitions)) return false
    this.drop(member)
    this.#partitions.set(member, partitions)
    for (const partition of partitions) this.#count(partition, 1)
    return true
  }

  /** The member is gone. */
  drop(member: number): void {
    for (const partition of this.#partitions.get(member) ?? []) this.#count(partition, -1)
    this.#partitions.delete(member)
  }

  /**
   * Each partition has one owner, and all members have as many as the others, give or take one: an assignor that shares evenly has seen
   * them all.
   */
  get isEven(): boolean {
    if (this.#soleCount < this.#ownerCounts.length) return false
    const fewest = Math.floor(this.#ownerCounts.length / this.#partitions.size)
    for (const { length } of this.#partitions.values()) if (length < fewest || length > fewest + 1) return false
    return true
  }

  #count(partition: number, step: 1 | -1): void {
    const before = this.#ownerCounts[partition]
    if (before === undefined) throw new Error(`partition ${partition} was given away, which there is not`)
    const after = before + step
    this.#ownerCounts[partition] = after
    if (before === 1) this.#soleCount--
    if (after === 1) this.#soleCount++
  }
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((partition, slot) => partition === right[slot])
}
