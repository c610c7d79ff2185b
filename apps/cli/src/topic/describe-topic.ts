import type { Admin, ConfigEntry, PartitionDescription, TopicDescription } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
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
}

const COLUMNS: readonly Column[] = [
  { key: 'partition' },
  { key: 'leader', format: (value) => (value === -1 ? 'none' : String(value)) },
  { key: 'leaderEpoch', title: 'EPOCH' },
  { key: 'replicas' },
  { key: 'isr', title: 'IN SYNC' },
  { key: 'startOffset', title: 'START' },
  { key: 'endOffset', title: 'END' },
  { key: 'records' },
]

export const describeTopic: CommandDefinition<DescribeOptions> = {
  name: 'describe',
  arguments: [['[names...]', 'names, or patterns between slashes; all topics if left out']],
  summary: 'Show partitions, replicas, offsets and settings of topics',
  options: [
    {
      flags: '--unhealthy',
      description: 'only partitions without a leader or with replicas out of sync; exit code 3 if any',
    },
    { flags: '--no-offsets', description: 'do not look up where the partitions begin and end' },
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
  const [configs, offsets] = await Promise.all([
    options.configs && topics.length > 0
      ? admin.describeConfigs(topics.map(({ name }) => ({ type: 'topic' as const, name })))
      : [],
    options.offsets ? offsetsOf(admin, topics) : new Map<string, Map<number, { start: bigint; end: bigint }>>(),
  ])
  return topics.map((topic) => {
    const entries = configs.find(({ name }) => name === topic.name)?.entries ?? []
    return {
      ...topic,
      configs: entries.filter(({ source }) => source === 'topic'),
      offsets: offsets.get(topic.name) ?? new Map(),
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

function withoutHealthy(topic: DescribedTopic): DescribedTopic {
  return { ...topic, partitions: topic.partitions.filter(isUnhealthy) }
}

function isUnhealthy({ leader, replicas, isr }: PartitionDescription): boolean {
  return leader === -1 || isr.length < replicas.length
}

function partitionRows(topic: DescribedTopic): Row[] {
  return topic.partitions.map(({ partition, leader, leaderEpoch, replicas, isr, offlineReplicas }) => {
    const offsets = topic.offsets.get(partition)
    const startOffset = offsets?.start ?? null
    const endOffset = offsets?.end ?? null
    const records = offsets === undefined ? null : offsets.end - offsets.start
    return { partition, leader, leaderEpoch, replicas, isr, offlineReplicas, startOffset, endOffset, records }
  })
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
  const columns = topic.offsets.size > 0 ? COLUMNS : COLUMNS.slice(0, 5)
  return `${topic.name}: ${facts.join(', ')}\n${configs}${renderRows(partitionRows(topic), columns, 'table')}`
}
