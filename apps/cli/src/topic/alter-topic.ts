import type { ConfigOperation } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { requirePairs, requireWhole } from '../options/numbers.ts'
import { resolveTopics } from './topic-names.ts'

interface AlterOptions {
  partitions?: string
  config: string[]
  deleteConfig: string[]
  dryRun?: boolean
}

export const alterTopic: CommandDefinition<AlterOptions> = {
  name: 'alter',
  arguments: [['<names...>', 'names, or patterns between slashes']],
  summary: 'Add partitions to topics and change their settings',
  options: [
    { flags: '-p, --partitions <n>', description: 'raise the number of partitions to n; keys then map to others' },
    { flags: '-c, --config <key=value>', description: 'set a setting; may be repeated', repeatable: true },
    {
      flags: '--delete-config <key>',
      description: 'go back to the default of a setting; may be repeated',
      repeatable: true,
    },
    { flags: '--dry-run', description: 'only say whether it would work' },
  ],
  examples: [
    ['topic alter orders --partitions 12', 'more partitions'],
    ['topic alter orders -c retention.ms=3600000', 'keep one hour'],
    ['topic alter orders --delete-config retention.ms', 'keep as long as the broker says'],
  ],
  async run(context, texts, options) {
    const operations: ConfigOperation[] = [
      ...requirePairs('--config', options.config).map(([name, value]) => ({ op: 'set' as const, name, value })),
      ...options.deleteConfig.map((name) => ({ op: 'delete' as const, name })),
    ]
    if (options.partitions === undefined && operations.length === 0) {
      throw usageError('nothing to change', 'Give --partitions, --config or --delete-config.')
    }
    const count = options.partitions === undefined ? 0 : requireWhole('--partitions', options.partitions, 1, 1_000_000)
    const validateOnly = options.dryRun === true
    const results = await context.withAdmin(async (admin) => {
      const names = await resolveTopics(admin, texts)
      const grown =
        count === 0
          ? []
          : await admin.createPartitions(
              names.map((name) => ({ name, count })),
              { validateOnly },
            )
      const changes = names.map((name) => ({ type: 'topic' as const, name, operations }))
      const changed = operations.length === 0 ? [] : await admin.alterConfigs(changes, { validateOnly })
      return [
        ...grown.map(({ name, error }) => ({ name, what: `partitions ${count}`, error })),
        ...changed.map(({ name, error }) => ({ name, what: 'settings', error })),
      ]
    })
    await context.printRows(
      results.map(({ name, what, error }) => {
        const result = error !== null ? 'failed' : validateOnly ? 'would be changed' : 'changed'
        return { topic: name, what, result }
      }),
      [{ key: 'topic' }, { key: 'what' }, { key: 'result' }],
    )
    return reportOutcomes(context, results)
  },
}
