import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { resolveTopics } from './topic-names.ts'

interface DeleteOptions {
  ifExists?: boolean
  dryRun?: boolean
}

export const deleteTopic: CommandDefinition<DeleteOptions> = {
  name: 'delete',
  arguments: [['<names...>', 'names, or patterns between slashes']],
  summary: 'Delete topics and their records',
  options: [
    { flags: '--if-exists', description: 'do not fail for topics that do not exist' },
    { flags: '--dry-run', description: 'only show which topics it would delete' },
  ],
  examples: [
    ['topic delete orders', 'one topic'],
    ["topic delete '/test-.*/' --dry-run", 'see what a pattern would delete'],
  ],
  async run(context, texts, options) {
    return context.withAdmin(async (admin) => {
      const names = await resolveTopics(admin, texts)
      if (options.dryRun) {
        await context.printRows(
          names.map((name) => ({ topic: name, result: 'would be deleted' })),
          [{ key: 'topic' }, { key: 'result' }],
        )
        return ExitCode.OK
      }
      const outcomes = await admin.deleteTopics(names)
      const results = outcomes.map((outcome) => {
        const isAbsent = options.ifExists && outcome.error?.code === 'UNKNOWN_TOPIC_OR_PARTITION'
        return isAbsent
          ? { ...outcome, error: null, result: 'absent' }
          : { ...outcome, result: outcome.error === null ? 'deleted' : 'failed' }
      })
      await context.printRows(
        results.map(({ name, result }) => ({ topic: name, result })),
        [{ key: 'topic' }, { key: 'result' }],
      )
      return reportOutcomes(context, results)
    })
  },
}
