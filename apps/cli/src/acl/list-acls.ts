import type { Acl } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { ACL_COLUMNS, FILTER_OPTIONS, type FilterOptions, filtersOf, rowOf } from './acl-options.ts'

export const listAcls: CommandDefinition<FilterOptions> = {
  name: 'list',
  summary: 'List rules of who may do what',
  description: `Without options all rules. A name finds the rules of just that name; with --match those too that bear on it by a prefix or for
all names.`,
  options: FILTER_OPTIONS,
  examples: [
    ['acl list', 'all rules'],
    ['acl list --topic orders --match', 'what bears on the topic orders'],
    ['acl list --principal User:alice -o json', 'what alice may and may not, for scripts'],
  ],
  async run(context, _args, options) {
    const filters = filtersOf(options)
    const found = await context.withAdmin((admin) => Promise.all(filters.map((filter) => admin.describeAcls(filter))))
    await context.printRows(distinct(found.flat()).map(rowOf), ACL_COLUMNS)
    return ExitCode.OK
  },
}

/** Several filters may mean one rule. */
function distinct(acls: readonly Acl[]): Acl[] {
  return [...new Map(acls.map((acl) => [JSON.stringify(rowOf(acl)), acl])).values()]
}
