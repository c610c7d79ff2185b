import type { TransactionDescription } from '@millrace/client'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import type { Row } from '../io/output-format.ts'
import { printable } from '../io/printable.ts'
import { formatDuration } from '../options/durations.ts'

export const describeTransaction: CommandDefinition<object> = {
  name: 'describe',
  arguments: [['<ids...>', 'transactional ids']],
  summary: 'Show the producer, the state and the partitions of transactional ids',
  examples: [
    ['txn describe billing-1', 'one id'],
    ["txn describe billing-1 billing-2 -o json | jq '.[].partitions'", 'where their transactions write'],
  ],
  async run(context, ids) {
    const outcomes = await context.withAdmin((admin) => admin.describeTransactions(ids))
    const found = outcomes.filter(({ error }) => error === null)
    await context.printValue(found.map(toData), () => found.map(toText).join('\n'))
    return reportOutcomes(context, outcomes)
  },
}

function toData(transaction: TransactionDescription): Row {
  const { transactionalId, state, producerId, producerEpoch, timeoutMs, startMs, coordinator, partitions } = transaction
  return {
    transactionalId,
    state,
    producerId,
    producerEpoch,
    timeoutMs,
    startMs,
    coordinator,
    partitions: partitions.map(({ topic, partition }) => `${topic}:${partition}`),
  }
}

function toText(transaction: TransactionDescription): string {
  const { transactionalId, state, producerId, producerEpoch, timeoutMs, startMs, coordinator, partitions } = transaction
  const facts = [
    state,
    `producer ${producerId} epoch ${producerEpoch}`,
    ...(startMs === null ? [] : [`began ${new Date(startMs).toISOString()}`]),
    `times out after ${formatDuration(timeoutMs)}`,
    `coordinator ${coordinator}`,
  ]
  const places = partitions.map(({ topic, partition }) => `  ${topic}:${partition}`)
  return [`${transactionalId}: ${facts.join(', ')}`, ...places].map((line) => `${printable(line)}\n`).join('')
}
