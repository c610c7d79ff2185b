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

export const listGroups: CommandDefinition<ListOptions> = {
  name: 'list',
  summary: 'List groups',
  options: [
    {
      flags: '--state <state>',
      description: 'only groups in this state (Stable, Empty, …); may be repeated',
      repeatable: true,
    },
    { flags: '--type <type>', description: 'only classic or consumer groups; may be repeated', repeatable: true },
  ],
  examples: [
    ['group list', 'all groups'],
    ['group list --state Empty', 'groups without members'],
  ],
  async run(context, _args, { state, type }) {
    const unknown = state.find((text) => !STATES.some((name) => name.toLowerCase() === text.toLowerCase()))
    if (unknown !== undefined) throw usageError(`--state ${unknown}: must be one of ${STATES.join(', ')}`)
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
