import type { ProducerDescription } from '@millrace/client'
import { describePartitions } from '../cluster/partition-arguments.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'

interface ProducersOptions {
  open?: boolean
}

export const listProducers: CommandDefinition<ProducersOptions> = {
  name: 'producers',
  arguments: [['<partitions...>', 'orders, orders:0,2-4 or /orders-.*/']],
  summary: 'Show the producers that partitions remember, and their open transactions',
  description: `Idempotent producers are among them. A transaction that stays open holds up readers of committed records from its start on.`,
  options: [{ flags: '--open', description: 'only those with an open transaction' }],
  examples: [
    ['txn producers orders:0', 'one partition'],
    ['txn producers orders --open', 'who holds up readers of the topic'],
  ],
  async run(context, texts, { open }) {
    const outcomes = await context.withAdmin(async (admin) => {
      return admin.describeProducers(await describePartitions(admin, texts))
    })
    const isWanted = ({ transactionStartOffset }: ProducerDescription): boolean =>
      open !== true || transactionStartOffset !== null
    await context.printRows(
      outcomes.flatMap(({ topic, partition, producers }) =>
        producers.filter(isWanted).map((producer) => ({
          topic,
          partition,
          producerId: producer.producerId,
          producerEpoch: producer.producerEpoch,
          lastSequence: producer.lastSequence,
          lastTimestampMs: producer.lastTimestampMs,
          coordinatorEpoch: producer.coordinatorEpoch,
          transactionStartOffset: producer.transactionStartOffset,
        })),
      ),
      [
        { key: 'topic' },
        { key: 'partition' },
        { key: 'producerId', title: 'PRODUCER' },
        { key: 'producerEpoch', title: 'EPOCH' },
        { key: 'lastSequence', title: 'SEQUENCE' },
        { key: 'lastTimestampMs', title: 'LAST' },
        { key: 'coordinatorEpoch', title: 'COORDINATOR EPOCH' },
        { key: 'transactionStartOffset', title: 'OPEN SINCE OFFSET' },
      ],
    )
    return reportOutcomes(context, outcomes)
  },
}
