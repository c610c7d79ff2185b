import type { Uuid } from '@millrace/base'
import type { Assignment } from './assignment.ts'
import type { TopicDirectory } from './topic-directory.ts'

/** The topics of an assignment as a message or a record has them. The lists are copies: an assignment is shared. */
export function topicRows<Row>(
  assignment: Assignment,
  rowOf: (init: { topicId: Uuid; partitions: number[] }) => Row,
): Row[] {
  return Array.from(assignment, ([topicId, partitions]) => rowOf({ topicId, partitions: [...partitions] }))
}

/** As {@link topicRows}, with names. Topics that are gone are left out: they have none. */
export function namedTopicRows<Row>(
  assignment: Assignment,
  directory: TopicDirectory,
  rowOf: (init: { topicId: Uuid; topicName: string; partitions: number[] }) => Row,
): Row[] {
  const rows: Row[] = []
  for (const [topicId, partitions] of assignment) {
    const topicName = directory.nameOf(topicId)
    if (topicName !== null) rows.push(rowOf({ topicId, topicName, partitions: [...partitions] }))
  }
  return rows
}
