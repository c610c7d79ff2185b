import type { Uuid } from '@millrace/base'
import { type Assignment, EMPTY_ASSIGNMENT, isSameAssignment, slotOf } from '../modern/assignment.ts'

/** Partitions that a member has, each with the epoch in which it was given to it. Never changed once made. */
export interface EpochAssignment {
  readonly partitions: Assignment
  /** By topic, in the order of the partitions. */
  readonly epochs: ReadonlyMap<Uuid, readonly number[]>
}

export const EMPTY_EPOCH_ASSIGNMENT: EpochAssignment = { partitions: EMPTY_ASSIGNMENT, epochs: new Map() }

/** Collects partitions with their epochs, in any order. */
export class EpochAssignmentDraft {
  readonly #topics = new Map<Uuid, Map<number, number>>()

  get isEmpty(): boolean {
    return this.#topics.size === 0
  }

  add(topicId: Uuid, partition: number, epoch: number): void {
    let epochs = this.#topics.get(topicId)
    if (epochs === undefined) {
      epochs = new Map()
      this.#topics.set(topicId, epochs)
    }
    epochs.set(partition, epoch)
  }

  addAll(assignment: EpochAssignment): void {
    for (const { topicId, partition, epoch } of entriesOf(assignment)) this.add(topicId, partition, epoch)
  }

  /** `known`, if it is the same. */
  finish(known: EpochAssignment): EpochAssignment {
    const partitions = new Map<Uuid, readonly number[]>()
    const epochs = new Map<Uuid, readonly number[]>()
    for (const [topicId, byPartition] of this.#topics) {
      const ascending = [...byPartition.keys()].sort((left, right) => left - right)
      partitions.set(topicId, ascending)
      epochs.set(
        topicId,
        ascending.map((partition) => byPartition.get(partition)!),
      )
    }
    if (!isSameAssignment(partitions, known.partitions)) return { partitions, epochs }
    return isSameAssignment(epochs, known.epochs) ? known : { partitions: known.partitions, epochs }
  }
}

/** All partitions with one epoch. */
export function withEpoch(partitions: Assignment, epoch: number): EpochAssignment {
  const epochs = new Map<Uuid, readonly number[]>()
  for (const [topicId, list] of partitions) epochs.set(topicId, new Array<number>(list.length).fill(epoch))
  return { partitions, epochs }
}

export function* entriesOf({
  partitions,
  epochs,
}: EpochAssignment): Generator<{ topicId: Uuid; partition: number; epoch: number }> {
  for (const [topicId, list] of partitions) {
    const listEpochs = epochs.get(topicId)!
    for (let slot = 0; slot < list.length; slot++) {
      yield { topicId, partition: list[slot]!, epoch: listEpochs[slot]! }
    }
  }
}

/** In which epoch the partition was given to the member; undefined: it does not have it. */
export function epochIn({ partitions, epochs }: EpochAssignment, topicId: Uuid, partition: number): number | undefined {
  // A late commit asks for each of its partitions, and may name the same one many thousand times.
  const slot = slotOf(partitions.get(topicId), partition)
  return slot === -1 ? undefined : epochs.get(topicId)![slot]
}

export function isSameEpochAssignment(left: EpochAssignment, right: EpochAssignment): boolean {
  return (
    left === right ||
    (isSameAssignment(left.partitions, right.partitions) && isSameAssignment(left.epochs, right.epochs))
  )
}
