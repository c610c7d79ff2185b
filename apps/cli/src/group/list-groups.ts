import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'

interface ListOptions {
  state: string[]
  type: string[]
}

/** Kafka's states of classic, consumer, share and streams groups. Brokers answer an unknown one with no groups. */
const STATES = [
  'Assigning',
  'CompletingRebalance',
  'Dead',
  'Empty',
  'NotReady',
  'PreparingRebalance',
  'Reconciling',
  'Stable',
]

const TYPES = ['classic', 'consumer', 'share', 'streams']

export const listGroups: CommandDefinition<ListOptions> = {
  name: 'list',
  summary: 'List groups',
  options: [
    {
      flags: '--state <state>',
      description: 'only groups in this state (Stable, Empty, …); may be repeated',
      repeatable: true,
    },
    {
      flags: '--type <type>',
      description: 'only classic, consumer, share or streams groups; may be repeated',
      repeatable: true,
    },
  ],
  examples: [
    ['group list', 'all groups'],
    ['group list --state Empty', 'groups without members'],
  ],
  async run(context, _args, { state, type }) {
    requireNames('--state', state, STATES)
    requireNames('--type', type, TYPES)
    const groups = await context.withAdmin((admin) => admin.listGroups({ states: state, types: type }))
    await context.printRows(
      groups.map(({ groupId, state: groupState, type: groupType, protocolType }) => {
        return { group: groupId, state: groupState, type: groupType, protocolType }
      }),
      [{ key: 'group' }, { key: 'state' }, { key: 'type' }, { key: 'protocolType', title: 'PROTOCOL' }],
    )
    return ExitCode.OK
  },
}

/** Throws a usage error for the first text that is none of the names, in any case. */
function requireNames(option: string, texts: readonly string[], names: readonly string[]): void {
  const unknown = texts.find((text) => !names.some((name) => name.toLowerCase() === text.toLowerCase()))
  if (unknown !== undefined) throw usageError(`${option} ${unknown}: must be one of ${names.join(', ')}`)
}
