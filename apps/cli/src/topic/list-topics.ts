import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'

interface ListOptions {
  internal?: boolean
  names?: boolean
}

export const listTopics: CommandDefinition<ListOptions> = {
  name: 'list',
  arguments: [['[pattern]', 'only names that this regular expression matches anywhere']],
  summary: 'List topics',
  options: [
    { flags: '--internal', description: 'also those that brokers keep for themselves' },
    { flags: '--names', description: 'just the names, one a line' },
  ],
  examples: [
    ['topic list', 'all topics'],
    ["topic list '^orders-'", 'those that begin with orders-'],
    ['topic list --names | xargs -n1 millrace topic describe', 'in scripts'],
  ],
  async run(context, [pattern], options) {
    const expression = expressionOf(pattern)
    const topics = await context.withAdmin((admin) => admin.listTopics({ includeInternal: options.internal === true }))
    const shown = topics.filter(({ name }) => expression === null || expression.test(name))
    if (options.names) {
      await context.io.stdout.write(shown.map(({ name }) => `${name}\n`).join(''))
      return ExitCode.OK
    }
    await context.printRows(
      shown.map(({ name, partitions, replicationFactor, isInternal, topicId }) => {
        return { topic: name, partitions, replicationFactor, isInternal, topicId }
      }),
      [{ key: 'topic' }, { key: 'partitions' }, { key: 'replicationFactor', title: 'REPLICAS' }],
    )
    return ExitCode.OK
  },
}

function expressionOf(pattern: string | undefined): RegExp | null {
  if (pattern === undefined) return null
  try {
    return new RegExp(pattern)
  } catch (error) {
    throw usageError(`${pattern}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
