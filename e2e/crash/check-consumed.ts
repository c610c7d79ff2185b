import type { Stored } from './history.ts'
import { Problems } from './problems.ts'

/** What consumers were given: who sent it and its number, as a value begins, by partition and offset. */
export class Consumed {
  readonly #byPartition = new Map<number, Map<number, string>>()
  readonly #problems = new Problems()
  count = 0

  /** `head` is `name:sequence`. An offset that is read again must give the same. */
  add(partition: number, offset: number, head: string): void {
    const records = this.#byPartition.get(partition) ?? new Map<number, string>()
    this.#byPartition.set(partition, records)
    const before = records.get(offset)
    if (before === undefined) {
      records.set(offset, head)
      this.count++
    } else if (before !== head) {
      this.#problems.add('read otherwise', `partition ${partition} offset ${offset} was ${before}, is ${head}`)
    }
  }

  /**
   * Holds what was given out against what was read back after the last restart: what anybody has consumed stays, at its offset, unless
   * retention removed it. No power cut may take it either: consumers see only what is on the disk. Lists what is wrong.
   */
  check(stored: readonly Stored[], startOffsets: readonly number[]): string[] {
    const values = new Map<string, string>()
    for (const { partition, offset, value } of stored) values.set(`${partition} ${offset}`, value)
    for (const [partition, records] of this.#byPartition) {
      for (const [offset, head] of records) {
        if (offset < (startOffsets[partition] ?? 0)) continue
        const value = values.get(`${partition} ${offset}`)
        if (value?.startsWith(`${head}:`) === true) continue
        const now = value === undefined ? 'gone' : value.slice(0, 40)
        this.#problems.add('consumed and lost', `partition ${partition} offset ${offset} was ${head}, is ${now}`)
      }
    }
    return this.#problems.list()
  }
}
