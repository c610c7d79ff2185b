import type { ElectionType } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { describePartitions } from './partition-arguments.ts'

interface ElectOptions {
  all?: boolean
  unclean?: boolean
}

const NOT_NEEDED = 'ELECTION_NOT_NEEDED'

export const electLeaders: CommandDefinition<ElectOptions> = {
  name: 'elect',
  arguments: [['[partitions...]', 'orders, orders:0,2-4 or /orders-.*/']],
  summary: 'Give partitions back to their preferred leaders, or a leader at all',
  description: `The preferred leader is the first replica: after a restart others lead in its place, until it is given back here or by the cluster itself
(auto.leader.rebalance.enable). --unclean is for partitions without any leader whose eligible replicas are lost for good: the one that led
last, or the first of the others whose broker is up takes over, whatever it holds, and RECORDS THAT IT LACKS ARE LOST.`,
  options: [
    { flags: '--all', description: 'every partition that needs it' },
    { flags: '--unclean', description: 'let a replica lead that lacks records; they are lost' },
  ],
  examples: [
    ['cluster elect --all', 'balance leaderships after restarts'],
    ['cluster elect orders', 'one topic'],
    ['cluster elect orders:3 --unclean', 'give up what only lost brokers had'],
  ],
  async run(context, texts, options) {
    if (texts.length > 0 === (options.all === true)) {
      throw usageError('which partitions?', 'Name them, or give --all.')
    }
    const type: ElectionType = options.unclean ? 'unclean' : 'preferred'
    const outcomes = await context.withAdmin(async (admin) => {
      const partitions = options.all ? null : await describePartitions(admin, texts)
      return admin.electLeaders(type, partitions)
    })
    // Leaders that lead already are what was asked for.
    const settled = outcomes.map((outcome) => {
      const isNeeded = outcome.error?.code !== NOT_NEEDED
      return { ...outcome, isNeeded, error: isNeeded ? outcome.error : null }
    })
    const shown = options.all ? settled.filter(({ isNeeded }) => isNeeded) : settled
    await context.printRows(
      shown.map(({ topic, partition, error, isNeeded }) => {
        const result = error !== null ? 'failed' : isNeeded ? 'elected' : 'leads already'
        return { topic, partition, result }
      }),
      [{ key: 'topic' }, { key: 'partition' }, { key: 'result' }],
    )
    return reportOutcomes(context, settled)
  },
}
