import type { LogDirDescription, Outcome } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import type { Row } from '../io/output-format.ts'
import { describePartitions } from './partition-arguments.ts'

interface LogDirsOptions {
  broker?: string
  to?: string
}

export const logDirs: CommandDefinition<LogDirsOptions> = {
  name: 'log-dirs',
  arguments: [['[partitions...]', 'orders, orders:0,2-4 or /orders-.*/']],
  summary: 'Show the log directories of brokers, or move replicas between those of one broker',
  description: `Without --to: what lies where, replicas that are being moved included (state "moving", with the offsets that they lack). With --to and --broker:
moves the replicas of these partitions on that broker to another of its directories while they are read and written. To the directory where
a replica is, a move of it ends. replica.alter.log.dirs.io.max.bytes.per.second of the broker limits how fast.`,
  options: [
    { flags: '--broker <id>', description: 'only this broker' },
    { flags: '--to <path>', description: 'move the replicas there' },
  ],
  examples: [
    ['cluster log-dirs --broker 1', 'what lies where on one broker'],
    ['cluster log-dirs orders --broker 1 --to /disk2/millrace', 'move a topic to another disk'],
  ],
  async run(context, texts, { broker, to }) {
    const nodeId = broker === undefined ? null : Number(broker)
    if (nodeId !== null && !/^\d+$/.test(broker!)) throw usageError(`not a broker's id: ${broker}`, 'Give a number.')
    if (to !== undefined && (nodeId === null || texts.length === 0)) {
      throw usageError('which replicas?', 'Name partitions, and their broker with --broker.')
    }
    if (to !== undefined) {
      const { outcomes, known } = await context.withAdmin(async (admin) => {
        const partitions = await describePartitions(admin, texts)
        const here = partitions.filter(({ replicas }) => replicas.includes(nodeId!))
        const moves = here.map(({ topic, partition }) => ({ topic, partition, nodeId: nodeId!, logDir: to }))
        const moved = await admin.alterReplicaLogDirs(moves)
        const isUnknown = moved.some(({ error }) => error?.code === 'LOG_DIR_NOT_FOUND')
        const found = isUnknown ? await admin.describeLogDirs({ nodeIds: [nodeId!], partitions: [] }) : []
        return { outcomes: moved, known: found.map(({ logDir }) => logDir) }
      })
      const rows = outcomes.map(({ topic, partition, error }) => {
        return { topic, partition, result: error === null ? 'begun' : 'failed' }
      })
      await context.printRows(rows, [{ key: 'topic' }, { key: 'partition' }, { key: 'result' }])
      const exitCode = await reportOutcomes(context, outcomes)
      if (known.length > 0) await context.note(`Broker ${nodeId} has ${known.join(', ')}.`)
      return exitCode
    }
    const found = await context.withAdmin(async (admin) => {
      const partitions = texts.length === 0 ? null : await describePartitions(admin, texts)
      const nodeIds = nodeId === null ? {} : { nodeIds: [nodeId] }
      return await admin.describeLogDirs(partitions === null ? nodeIds : { ...nodeIds, partitions })
    })
    await context.printRows(found.flatMap(rowsOf), COLUMNS)
    return await reportOutcomes(context, found)
  },
}

const COLUMNS = [
  { key: 'broker' },
  { key: 'directory' },
  { key: 'topic' },
  { key: 'partition' },
  { key: 'bytes' },
  { key: 'lag' },
  { key: 'state' },
]

/** One for a directory without any replica, too. */
function rowsOf({ nodeId: broker, logDir: directory, error, partitions }: Outcome<LogDirDescription>): Row[] {
  const place = { broker, directory }
  if (error !== null) return [{ ...place, topic: null, partition: null, bytes: null, lag: null, state: 'offline' }]
  if (partitions.length === 0) {
    return [{ ...place, topic: null, partition: null, bytes: null, lag: null, state: 'empty' }]
  }
  return partitions.map(({ topic, partition, sizeBytes: bytes, offsetLag: lag, isFuture }) => {
    return { ...place, topic, partition, bytes, lag, state: isFuture ? 'moving' : 'current' }
  })
}
