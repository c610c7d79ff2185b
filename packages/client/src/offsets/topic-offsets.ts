import type { ClientCore } from '../client/client-core.ts'
import { partitionKey } from '../cluster/topic-partition.ts'
import { type FoundOffset, type IsolationLevel, lookUpOffsets, type OffsetQuestion } from './offset-lookup.ts'

/**
 * {@link lookUpOffsets} for topics that need not be in metadata yet: they are kept there for as long as it takes. Answers are in the
 * order of the questions, and a partition may be asked about several times.
 */
export async function findOffsets(
  core: ClientCore,
  questions: readonly OffsetQuestion[],
  isolationLevel: IsolationLevel,
  timeoutMs: number,
): Promise<FoundOffset[]> {
  const topics = [...new Set(questions.map(({ topic }) => topic))]
  for (const topic of topics) core.metadata.addTopic(topic)
  try {
    await Promise.all(topics.map((topic) => core.metadata.awaitTopic(topic, timeoutMs)))
    const answers = new Array<FoundOffset>(questions.length)
    for (const slots of rounds(questions)) {
      const asked = slots.map((slot) => questions[slot]!)
      const found = await lookUpOffsets(core, asked, isolationLevel, timeoutMs)
      const byKey = new Map(found.map((answer) => [partitionKey(answer.topic, answer.partition), answer]))
      for (const slot of slots) {
        const { topic, partition } = questions[slot]!
        answers[slot] = byKey.get(partitionKey(topic, partition))!
      }
    }
    return answers
  } finally {
    for (const topic of topics) core.metadata.removeTopic(topic)
  }
}

/** Positions of the questions in as few groups as possible with each partition once per group: brokers refuse a request that repeats one. */
function rounds(questions: readonly OffsetQuestion[]): number[][] {
  const groups: number[][] = []
  const timesSeen = new Map<string, number>()
  for (const [slot, { topic, partition }] of questions.entries()) {
    const key = partitionKey(topic, partition)
    const times = timesSeen.get(key) ?? 0
    timesSeen.set(key, times + 1)
    const group = groups[times]
    if (group === undefined) groups.push([slot])
    else group.push(slot)
  }
  return groups
}
