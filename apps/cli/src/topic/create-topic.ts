import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { noteCompaction } from '../config/compaction-note.ts'
import { requirePairs, requireWhole } from '../options/numbers.ts'

interface CreateOptions {
  partitions?: string
  replicationFactor?: string
  replicaAssignment?: string
  config: string[]
  ifNotExists?: boolean
  dryRun?: boolean
}

export const createTopic: CommandDefinition<CreateOptions> = {
  name: 'create',
  arguments: [['<names...>', 'names of the topics']],
  summary: 'Create topics',
  options: [
    { flags: '-p, --partitions <n>', description: "number of partitions (default: the broker's num.partitions)" },
    { flags: '-r, --replication-factor <n>', description: "copies of each partition (default: the broker's)" },
    { flags: '--replica-assignment <list>', description: 'brokers by partition instead: 1:2,2:3 is two partitions' },
    { flags: '-c, --config <key=value>', description: 'a setting of the topic; may be repeated', repeatable: true },
    { flags: '--if-not-exists', description: 'do not fail for topics that there are already' },
    { flags: '--dry-run', description: 'only say whether it would work' },
  ],
  examples: [
    ['topic create orders --partitions 6', 'six partitions'],
    ['topic create state --config retention.ms=-1', 'a topic that keeps all its records'],
    ['topic create a b c --if-not-exists', 'several, unless they exist'],
  ],
  async run(context, names, options) {
    const settings = requirePairs('--config', options.config)
    const configs = Object.fromEntries(settings)
    const topics = names.map((name) => ({ name, configs, ...shapeOf(options) }))
    const validateOnly = options.dryRun === true
    const outcomes = await context.withAdmin((admin) => admin.createTopics(topics, { validateOnly }))
    const results = outcomes.map((outcome) =>
      options.ifNotExists && outcome.error?.code === 'TOPIC_ALREADY_EXISTS'
        ? { ...outcome, error: null, result: 'exists' }
        : { ...outcome, result: outcome.error !== null ? 'failed' : validateOnly ? 'would be created' : 'created' },
    )
    await context.printRows(
      results.map(({ name, result, partitions, replicationFactor, topicId }) => ({
        topic: name,
        result,
        partitions: partitions < 0 ? null : partitions,
        replicationFactor: replicationFactor < 0 ? null : replicationFactor,
        topicId: result === 'created' ? topicId : null,
      })),
      [{ key: 'topic' }, { key: 'result' }, { key: 'partitions' }, { key: 'replicationFactor', title: 'REPLICAS' }],
    )
    const exitCode = await reportOutcomes(context, results)
    if (exitCode !== ExitCode.ERROR) await noteCompaction(context, settings)
    return exitCode
  },
}

function shapeOf(options: CreateOptions): object {
  const { partitions, replicationFactor, replicaAssignment } = options
  if (replicaAssignment !== undefined) {
    if (partitions !== undefined || replicationFactor !== undefined) {
      throw usageError('--replica-assignment takes the place of --partitions and --replication-factor')
    }
    return { assignments: parseAssignment(replicaAssignment) }
  }
  return {
    ...(partitions === undefined ? {} : { partitions: requireWhole('--partitions', partitions, 1, 1_000_000) }),
    ...(replicationFactor === undefined
      ? {}
      : { replicationFactor: requireWhole('--replication-factor', replicationFactor, 1, 32_767) }),
  }
}

/** Brokers by partition from `1:2,2:3`. Throws a usage error. */
export function parseAssignment(text: string): number[][] {
  return text.split(',').map((partition) => {
    if (!/^\d+(:\d+)*$/.test(partition)) {
      throw usageError(`--replica-assignment ${text}: write the brokers of each partition, for example 1:2,2:3`)
    }
    return partition.split(':').map(Number)
  })
}
