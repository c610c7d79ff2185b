import type { Admin, ConfigEntry, PartitionDescription, TopicDescription, TopicPartition } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { type Column, type Row, renderRows, type Value } from '../io/output-format.ts'
import { formatCount, formatNumber } from '../options/numbers.ts'
import { resolveTopics } from './topic-names.ts'

interface DescribeOptions {
  unhealthy?: boolean
  offsets: boolean
  configs: boolean
}

interface DescribedTopic extends TopicDescription {
  /** Settings that differ from the default. */
  configs: ConfigEntry[]
  offsets: Map<number, { start: bigint; end: bigint }>
  /** By partition, then by broker: records that a follower lacks of what is committed. */
  lags: Map<number, Map<number, bigint>>
}

/** A broker that does not answer must not hold up what is known without it. */
const LAG_TIMEOUT_MS = 2000

const COLUMNS: readonly Column[] = [
  { key: 'partition' },
  { key: 'leader', format: (value) => (value === -1 ? 'none' : String(value)) },
  { key: 'leaderEpoch', title: 'EPOCH' },
  { key: 'replicas' },
  { key: 'isr', title: 'IN SYNC' },
  { key: 'elr', title: 'ELIGIBLE' },
  { key: 'lag' },
  { key: 'startOffset', title: 'START' },
  { key: 'endOffset', title: 'END' },
  { key: 'records' },
]

const ALWAYS_SHOWN: ReadonlySet<string> = new Set(['partition', 'leader', 'leaderEpoch', 'replicas', 'isr'])

export const describeTopic: CommandDefinition<DescribeOptions> = {
  name: 'describe',
  arguments: [['[names...]', 'names, or patterns between slashes; all topics if left out']],
  summary: 'Show partitions, replicas, offsets and settings of topics',
  options: [
    {
      flags: '--unhealthy',
      description: 'only partitions without a leader or with replicas out of sync; exit code 3 if any',
    },
    {
      flags: '--no-offsets',
      description: 'do not look up where partitions begin and end, and how far followers are behind',
    },
    { flags: '--no-configs', description: 'do not look up settings' },
  ],
  examples: [
    ['topic describe orders', 'one topic'],
    ["topic describe '/orders-.*/' -o json", 'all that match, as JSON'],
    ['topic describe --unhealthy', 'what needs care, for monitoring'],
  ],
  async run(context, texts, options) {
    const { topics, failures } = await context.withAdmin(async (admin) => {
      const names =
        texts.length > 0 ? await resolveTopics(admin, texts) : (await admin.listTopics()).map(({ name }) => name)
      const described = await admin.describeTopics(names)
      const found = described.filter(({ error }) => error === null)
      return {
        topics: await complete(admin, found, options),
        failures: described.filter(({ error }) => error !== null),
      }
    })
    const shown = options.unhealthy
      ? topics.map(withoutHealthy).filter(({ partitions }) => partitions.length > 0)
      : topics
    await context.printValue(shown.map(toData), () => shown.map(toText).join('\n'))
    const exitCode = await reportOutcomes(context, [...topics.map(() => ({ error: null })), ...failures])
    return options.unhealthy && shown.length > 0 ? ExitCode.PARTIAL : exitCode
  },
}

async function complete(
  admin: Admin,
  topics: readonly TopicDescription[],
  options: DescribeOptions,
): Promise<DescribedTopic[]> {
  const [configs, offsets, lags] = await Promise.all([
    options.configs && topics.length > 0
      ? admin.describeConfigs(topics.map(({ name }) => ({ type: 'topic' as const, name })))
      : [],
    options.offsets ? offsetsOf(admin, topics) : new Map<string, Map<number, { start: bigint; end: bigint }>>(),
    options.offsets ? lagsOf(admin, topics) : new Map<string, Map<number, Map<number, bigint>>>(),
  ])
  return topics.map((topic) => {
    const entries = configs.find(({ name }) => name === topic.name)?.entries ?? []
    return {
      ...topic,
      configs: entries.filter(({ source }) => source === 'topic'),
      offsets: offsets.get(topic.name) ?? new Map(),
      lags: lags.get(topic.name) ?? new Map(),
    }
  })
}

/** Offsets of partitions with a leader: others cannot be asked. */
async function offsetsOf(admin: Admin, topics: readonly TopicDescription[]) {
  const places = topics.flatMap(({ name, partitions }) =>
    partitions.filter(({ leader }) => leader !== -1).map(({ partition }) => ({ topic: name, partition })),
  )
  const found = await admin.listOffsets(
    places.flatMap((place) => [
      { ...place, spec: 'earliest' as const },
      { ...place, spec: 'latest' as const },
    ]),
  )
  const byTopic = new Map<string, Map<number, { start: bigint; end: bigint }>>()
  for (const [slot, { topic, partition }] of places.entries()) {
    const offsets = byTopic.get(topic) ?? new Map<number, { start: bigint; end: bigint }>()
    byTopic.set(topic, offsets)
    offsets.set(partition, { start: found[2 * slot]!.offset, end: found[2 * slot + 1]!.offset })
  }
  return byTopic
}

/** Lags of followers, as each broker tells its own. Brokers that do not answer in time, or cannot tell, are left out. */
async function lagsOf(admin: Admin, topics: readonly TopicDescription[]) {
  const byNode = new Map<number, TopicPartition[]>()
  for (const { name, partitions } of topics) {
    for (const { partition, leader, replicas, offlineReplicas } of partitions) {
      const followers = replicas.filter((nodeId) => nodeId !== leader && !offlineReplicas.includes(nodeId))
      for (const nodeId of followers) {
        const places = byNode.get(nodeId) ?? []
        byNode.set(nodeId, places)
        places.push({ topic: name, partition })
      }
    }
  }
  const answers = await Promise.allSettled(
    Array.from(byNode, ([nodeId, partitions]) =>
      admin.describeLogDirs({ nodeIds: [nodeId], partitions, timeoutMs: LAG_TIMEOUT_MS }),
    ),
  )
  const lags = new Map<string, Map<number, Map<number, bigint>>>()
  for (const answer of answers) {
    if (answer.status === 'rejected') continue
    for (const { nodeId, partitions } of answer.value) {
      for (const { topic, partition, offsetLag, isFuture } of partitions) {
        if (isFuture || offsetLag < 0n) continue
        const ofTopic = lags.get(topic) ?? new Map<number, Map<number, bigint>>()
        lags.set(topic, ofTopic)
        ofTopic.set(partition, (ofTopic.get(partition) ?? new Map<number, bigint>()).set(nodeId, offsetLag))
      }
    }
  }
  return lags
}

function withoutHealthy(topic: DescribedTopic): DescribedTopic {
  return { ...topic, partitions: topic.partitions.filter(isUnhealthy) }
}

function isUnhealthy({ leader, replicas, isr }: PartitionDescription): boolean {
  return leader === -1 || isr.length < replicas.length
}

function partitionRows(topic: DescribedTopic): Row[] {
  return topic.partitions.map(
    ({ partition, leader, leaderEpoch, replicas, isr, elr, lastKnownElr, offlineReplicas }) => {
      const offsets = topic.offsets.get(partition)
      const startOffset = offsets?.start ?? null
      const endOffset = offsets?.end ?? null
      const records = offsets === undefined ? null : offsets.end - offsets.start
      const byBroker = topic.lags.get(partition)
      const lag =
        byBroker === undefined ? null : [...byBroker.values()].reduce((most, one) => (one > most ? one : most))
      const lags = Object.fromEntries(byBroker ?? [])
      const replicaFields = { replicas, isr, elr, lastKnownElr, offlineReplicas, lag, lags }
      return { partition, leader, leaderEpoch, ...replicaFields, startOffset, endOffset, records }
    },
  )
}

function toData(topic: DescribedTopic): Row {
  return {
    topic: topic.name,
    topicId: topic.topicId,
    isInternal: topic.isInternal,
    configs: Object.fromEntries(topic.configs.map(({ name, value }) => [name, value])),
    partitions: partitionRows(topic),
  }
}

function toText(topic: DescribedTopic): string {
  const records = [...topic.offsets.values()].reduce((sum, { start, end }) => sum + (end - start), 0n)
  const facts = [
    formatCount(topic.partitions.length, 'partition'),
    formatCount(topic.partitions[0]?.replicas.length ?? 0, 'replica'),
    ...(topic.offsets.size > 0 ? [`${formatNumber(Number(records))} offsets in use`] : []),
    `id ${topic.topicId}`,
  ]
  const configs = topic.configs.map(({ name, value }) => `  ${name}=${value}\n`).join('')
  // Columns without a value for any partition say nothing: one broker has no followers.
  const rows = partitionRows(topic)
  const isKnown = ({ key }: Column) => ALWAYS_SHOWN.has(key) || rows.some((row) => isTold(row[key] ?? null))
  return `${topic.name}: ${facts.join(', ')}\n${configs}${renderRows(rows, COLUMNS.filter(isKnown), 'table')}`
}

function isTold(value: Value): boolean {
  return value !== null && !(Array.isArray(value) && value.length === 0)
}
