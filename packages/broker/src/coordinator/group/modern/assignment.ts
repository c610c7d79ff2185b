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

/** An assignment of lists in any order, which may name topics and partitions twice: they come from elsewhere. */
export function toAssignment(
  topics: Iterable<{ readonly topicId: Uuid; readonly partitions: readonly number[] }>,
): Assignment {
  const assignment = new Map<Uuid, readonly number[]>()
  for (const { topicId, partitions } of topics) {
    if (partitions.length === 0) continue
    const known = assignment.get(topicId)
    assignment.set(topicId, ascending(known === undefined ? partitions : [...known, ...partitions]))
  }
  return assignment
}

/** Whether an ascending list holds the partition. */
export function holds(partitions: readonly number[] | undefined, partition: number): boolean {
  if (partitions === undefined) return false
  let start = 0
  let end = partitions.length
  while (start < end) {
    const middle = (start + end) >>> 1
    if (partitions[middle]! < partition) start = middle + 1
    else end = middle
  }
  return start < partitions.length && partitions[start] === partition
}

function isSameList(left: readonly number[], right: readonly number[]): boolean {
  if (left.length !== right.length) return false
  for (let slot = 0; slot < left.length; slot++) if (left[slot] !== right[slot]) return false
  return true
}

function ascending(partitions: readonly number[]): readonly number[] {
  let isAscending = true
  for (let slot = 1; slot < partitions.length && isAscending; slot++) {
    isAscending = partitions[slot - 1]! < partitions[slot]!
  }
  if (isAscending) return [...partitions]
  return [...new Set(partitions)].sort((left, right) => left - right)
}
