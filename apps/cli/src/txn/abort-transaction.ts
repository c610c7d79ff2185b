import { describePartitions } from '../cluster/partition-arguments.ts'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { requireWhole } from '../options/numbers.ts'

interface AbortOptions {
  producerId?: string
  startOffset?: string
}

export const abortTransaction: CommandDefinition<AbortOptions> = {
  name: 'abort',
  arguments: [['<partition>', 'as orders:0']],
  summary: 'Abort a transaction that hangs in a partition',
  description: `For a transaction that nobody will end: its coordinator does not know of it (txn describe), or has forgotten it. What it wrote to this
partition is aborted, whatever became of it in others. A transaction whose producer is alive must be left to it: IT WOULD BE TORN APART.`,
  options: [
    { flags: '--producer-id <id>', description: 'whose transaction' },
    { flags: '--start-offset <offset>', description: 'the transaction that begins there (txn producers --open)' },
  ],
  examples: [
    ['txn producers orders:3 --open', 'find it first'],
    ['txn abort orders:3 --start-offset 4711', 'abort what begins there'],
    ['txn abort orders:3 --producer-id 1042', 'abort the open transaction of a producer'],
  ],
  async run(context, texts, { producerId, startOffset }) {
    if ((producerId === undefined) === (startOffset === undefined)) {
      throw usageError('which transaction?', 'Give --producer-id or --start-offset.')
    }
    const wantedId = producerId === undefined ? null : BigInt(requireWhole('--producer-id', producerId, 0))
    const wantedOffset = startOffset === undefined ? null : BigInt(requireWhole('--start-offset', startOffset, 0))
    const aborted = await context.withAdmin(async (admin) => {
      const partitions = await describePartitions(admin, texts)
      if (partitions.length !== 1) throw usageError(`${texts[0]}: name one partition, as orders:0`)
      const [outcome] = await admin.describeProducers(partitions)
      const { topic, partition, producers, error } = outcome!
      if (error !== null) throw error
      const open = producers.find(
        ({ producerId: id, transactionStartOffset: offset }) =>
          offset !== null && (wantedId === null ? offset === wantedOffset : id === wantedId),
      )
      if (open === undefined) {
        throw new CliError(`no such transaction is open in ${topic}:${partition}`, {
          hint: `"millrace txn producers ${topic}:${partition} --open" shows those that are.`,
        })
      }
      const { producerEpoch, coordinatorEpoch } = open
      await admin.abortTransaction({ topic, partition, producerId: open.producerId, producerEpoch, coordinatorEpoch })
      return { topic, partition, producerId: open.producerId, producerEpoch, startOffset: open.transactionStartOffset }
    })
    await context.printValue(aborted, () => {
      return `aborted the transaction of producer ${aborted.producerId} from offset ${aborted.startOffset} on\n`
    })
    return ExitCode.OK
  },
}
