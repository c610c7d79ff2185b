import type { Admin, TopicDescription, TopicPartition } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import { requireNumberList } from '../options/numbers.ts'
import { resolveTopics } from '../topic/topic-names.ts'

/** Partitions of `orders`, `orders:0,2-4` or `/orders-[a-z]+/`, with what is known of them. Throws for topics that cannot be described. */
export async function describePartitions(admin: Admin, texts: readonly string[]): Promise<DescribedPartition[]> {
  const wanted = texts.map(parsePlace)
  const names = await resolveTopics(
    admin,
    wanted.map(({ topic }) => topic),
  )
  const described = await admin.describeTopics(names)
  for (const { error } of described) if (error !== null) throw error
  const byName = new Map(described.map((topic) => [topic.name, topic]))
  const found = new Map<string, DescribedPartition>()
  for (const { topic, partitions } of wanted) {
    const topics = partitions === null ? await resolveTopics(admin, [topic]) : [topic]
    for (const name of topics) addPlaces(found, byName.get(name)!, partitions)
  }
  return [...found.values()]
}

/** Partitions of all topics, the internal ones included. */
export async function describeAllPartitions(admin: Admin): Promise<DescribedPartition[]> {
  const listed = await admin.listTopics({ includeInternal: true })
  const described = await admin.describeTopics(listed.map(({ name }) => name))
  // A topic that was deleted in between is nobody's concern.
  const found = new Map<string, DescribedPartition>()
  for (const topic of described) if (topic.error === null) addPlaces(found, topic, null)
  return [...found.values()]
}

export interface DescribedPartition extends TopicPartition {
  leader: number
  replicas: readonly number[]
  isr: readonly number[]
}

function addPlaces(
  found: Map<string, DescribedPartition>,
  topic: TopicDescription,
  partitions: readonly number[] | null,
): void {
  for (const wanted of partitions ?? topic.partitions.map(({ partition }) => partition)) {
    const known = topic.partitions.find(({ partition }) => partition === wanted)
    if (known === undefined) throw usageError(`${topic.name} has no partition ${wanted}`)
    const { leader, replicas, isr } = known
    found.set(`${topic.name}:${wanted}`, { topic: topic.name, partition: wanted, leader, replicas, isr })
  }
}

function parsePlace(text: string): { topic: string; partitions: number[] | null } {
  // A pattern may hold colons.
  const colon = text.endsWith('/') ? -1 : text.lastIndexOf(':')
  if (colon === -1) return { topic: text, partitions: null }
  return { topic: text.slice(0, colon), partitions: requireNumberList('partitions', text.slice(colon + 1)) }
}
