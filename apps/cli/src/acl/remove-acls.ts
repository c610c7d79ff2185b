import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { ACL_COLUMNS, FILTER_OPTIONS, type FilterOptions, filtersOf, rowOf } from './acl-options.ts'

interface RemoveOptions extends FilterOptions {
  all?: boolean
}

export const removeAcls: CommandDefinition<RemoveOptions> = {
  name: 'remove',
  summary: 'Take rules away',
  description: `Takes away the rules that "millrace acl list" shows with the same options, and shows them. Look there first: what is gone allows
nothing, and denies nothing, from now on.`,
  options: [
    ...FILTER_OPTIONS,
    { flags: '--all', description: 'every rule there is; needed where nothing else is given' },
  ],
  examples: [
    ['acl remove --topic orders --principal User:alice', 'all that is said of alice and orders'],
    ['acl remove --topic app- --prefixed', 'all rules of a prefix'],
    ['acl remove --principal User:bob', 'all rules of somebody who left'],
  ],
  async run(context, _args, { all, ...options }) {
    const filters = filtersOf(options)
    const isEverything = filters.some((filter) => Object.keys(filter).length === 0)
    if (isEverything !== (all === true)) {
      throw isEverything
        ? usageError('which rules?', 'Give --topic, --principal or the like, or --all for every rule.')
        : usageError('--all takes nothing else')
    }
    const outcomes = await context.withAdmin((admin) => admin.deleteAcls(filters))
    const gone = outcomes.flatMap(({ deleted }) => deleted.map(rowOf))
    const distinct = [...new Map(gone.map((row) => [JSON.stringify(row), row])).values()]
    // Of a refusal nothing else can be told.
    const isRefused = outcomes.every(({ error }) => error !== null)
    if (!isRefused) await context.printRows(distinct, ACL_COLUMNS)
    const exitCode = await reportOutcomes(context, outcomes)
    if (distinct.length > 0 || exitCode !== ExitCode.OK) return exitCode
    await context.note('millrace: no rule is meant by that')
    return ExitCode.ERROR
  },
}
