import type { Uuid } from '@millrace/base'

/** Partitions by topic. Never changed once made: groups, records and answers share it. Lists are ascending and never empty. */
export type Assignment = ReadonlyMap<Uuid, readonly number[]>

export const EMPTY_ASSIGNMENT: Assignment = new Map()

export function partitionCountOf(assignment: Assignment): number {
  let count = 0
  for (const partitions of assignment.values()) count += partitions.length
  return count
}

/** The same partitions, in whatever order the topics stand. */
export function isSameAssignment(left: Assignment, right: Assignment): boolean {
  if (left === right) return true
  if (left.size !== right.size) return false
  for (const [topicId, partitions] of left) {
    const others = right.get(topicId)
    if (others === undefined || !isSameList(partitions, others)) return false
  }
  return true
}

/**
 * An assignment of lists in any order, which may name topics and partitions twice, and the same topic any number of times: they come from
 * elsewhere. Takes time that is linear in what is named, but for one sort of each topic.
 */
export function toAssignment(
  topics: Iterable<{ readonly topicId: Uuid; readonly partitions: readonly number[] }>,
): Assignment {
  const assignment = new Map<Uuid, number[]>()
  for (const { topicId, partitions } of topics) {
    if (partitions.length === 0) continue
    const known = assignment.get(topicId)
    if (known === undefined) assignment.set(topicId, [...partitions])
    else for (const partition of partitions) known.push(partition)
  }
  for (const [topicId, partitions] of assignment) {
    if (!isAscending(partitions)) assignment.set(topicId, ascending(partitions))
  }
  return assignment
}

/** Whether an ascending list holds the partition. */
export function holds(partitions: readonly number[] | undefined, partition: number): boolean {
  return slotOf(partitions, partition) !== -1
}

/** Where the partition stands in an ascending list, -1 if it does not. */
export function slotOf(partitions: readonly number[] | undefined, partition: number): number {
  if (partitions === undefined) return -1
  let start = 0
  let end = partitions.length
  while (start < end) {
    const middle = (start + end) >>> 1
    if (partitions[middle]! < partition) start = middle + 1
    else end = middle
  }
  return partitions[start] === partition ? start : -1
}

function isSameList(left: readonly number[], right: readonly number[]): boolean {
  if (left.length !== right.length) return false
  for (let slot = 0; slot < left.length; slot++) if (left[slot] !== right[slot]) return false
  return true
}

function isAscending(partitions: readonly number[]): boolean {
  for (let slot = 1; slot < partitions.length; slot++) if (partitions[slot - 1]! >= partitions[slot]!) return false
  return true
}

/** Each once. */
function ascending(partitions: readonly number[]): number[] {
  return [...new Set(partitions)].sort((left, right) => left - right)
}
