import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { requireDuration } from '../options/durations.ts'
import { requireWhole } from '../options/numbers.ts'

interface ListOptions {
  state: string[]
  producerId: string[]
  longerThan?: string
  match?: string
}

/** Kafka's states of transactional ids. */
const STATES = ['Empty', 'Ongoing', 'PrepareCommit', 'PrepareAbort', 'CompleteCommit', 'CompleteAbort']

export const listTransactions: CommandDefinition<ListOptions> = {
  name: 'list',
  summary: 'List transactional ids and what they are at',
  description: `An id is kept for a week after its last transaction (transactional.id.expiration.ms). Ongoing is a transaction that its producer has not
ended yet; Prepare… one that is decided and whose partitions are being told.`,
  options: [
    {
      flags: '--state <state>',
      description: `only in this state (${STATES.join(', ')}); may be repeated`,
      repeatable: true,
    },
    { flags: '--producer-id <id>', description: 'only of this producer; may be repeated', repeatable: true },
    { flags: '--longer-than <duration>', description: 'only transactions that began so long ago (5m, 1h)' },
    { flags: '--match <regex>', description: 'only ids that match as a whole' },
  ],
  examples: [
    ['txn list', 'all transactional ids'],
    ['txn list --state Ongoing --longer-than 15m', 'what has been open for suspiciously long'],
    ["txn list --match 'billing-.*' -o json", 'some of them, for scripts'],
  ],
  async run(context, _args, { state, producerId, longerThan, match }) {
    const states = state.map((text) => {
      const known = STATES.find((name) => name.toLowerCase() === text.toLowerCase())
      if (known === undefined) throw usageError(`--state ${text}: must be one of ${STATES.join(', ')}`)
      return known
    })
    const found = await context.withAdmin((admin) =>
      admin.listTransactions({
        states,
        producerIds: producerId.map((text) => BigInt(requireWhole('--producer-id', text, 0))),
        ...(longerThan === undefined ? {} : { longerThanMs: requireDuration('--longer-than', longerThan) }),
        ...(match === undefined ? {} : { pattern: match }),
      }),
    )
    await context.printRows(
      found.map(({ transactionalId, state: current, producerId: id, coordinator }) => ({
        transactionalId,
        state: current,
        producerId: id,
        coordinator,
      })),
      [
        { key: 'transactionalId', title: 'TRANSACTIONAL ID' },
        { key: 'state' },
        { key: 'producerId', title: 'PRODUCER' },
        { key: 'coordinator' },
      ],
    )
    return ExitCode.OK
  },
}
