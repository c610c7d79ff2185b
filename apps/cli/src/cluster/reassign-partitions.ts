import type { Admin } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { requireNumberList, requireWhole } from '../options/numbers.ts'
import { carryOut, MOVE_OPTIONS, type MoveOptions } from './carry-out.ts'
import { describeAllPartitions, describePartitions } from './partition-arguments.ts'
import { type Move, type MovePlan, planSpread } from './plan-moves.ts'

interface ReassignOptions extends MoveOptions {
  to?: string
  replicas?: string
  replicationFactor?: string
  list?: boolean
  cancel?: boolean
}

export const reassignPartitions: CommandDefinition<ReassignOptions> = {
  name: 'reassign',
  arguments: [['[partitions...]', 'orders, orders:0,2-4 or /orders-.*/; all topics if left out']],
  summary: 'Move partitions to other brokers; without --execute only show the plan',
  description: `Say where with one of:
  --to 1,2,3          spread them over these brokers, racks apart, moving as little as possible
  --replicas 3,1,2    exactly there, the preferred leader first
Records are copied while the partitions serve. --list shows what is under way, --cancel ends it.`,
  options: [
    {
      flags: '--to <brokers>',
      description: 'brokers to spread over; all that serve if only --replication-factor is given',
    },
    { flags: '--replicas <brokers>', description: 'brokers of each partition, in order of preference' },
    { flags: '-r, --replication-factor <n>', description: 'copies of each partition (default: as many as now)' },
    ...MOVE_OPTIONS,
    { flags: '--list', description: 'show moves that are under way' },
    { flags: '--cancel', description: 'end moves that are under way: partitions go back to where they were' },
  ],
  examples: [
    ['cluster reassign --to 1-4', 'show what moves if a fourth broker gets its share'],
    ['cluster reassign orders --to 1-4 --execute --wait', 'move one topic, with progress'],
    ['cluster reassign orders:0 --replicas 3,1,2 --execute', 'one partition, by hand'],
    ['cluster reassign orders -r 3 --execute', 'three copies from now on'],
    ['cluster reassign --list', 'what is under way'],
  ],
  async run(context, texts, options) {
    const waysCount = [options.to ?? options.replicationFactor, options.replicas, options.list, options.cancel].filter(
      (way) => way !== undefined,
    ).length
    if (waysCount !== 1)
      throw usageError('where to?', 'Give one of --to, --replicas, --replication-factor, --list or --cancel.')
    return context.withAdmin(async (admin) => {
      if (options.list) return listMoves(context, admin, texts)
      if (options.cancel) return cancelMoves(context, admin, texts)
      return carryOut(context, admin, await planOf(admin, texts, options), options)
    })
  },
}

async function planOf(admin: Admin, texts: readonly string[], options: ReassignOptions): Promise<MovePlan> {
  const partitions = texts.length > 0 ? await describePartitions(admin, texts) : await describeAllPartitions(admin)
  if (options.replicas !== undefined) {
    const to = orderedNumbers('--replicas', options.replicas)
    const moves = partitions.map(({ topic, partition, replicas }): Move => ({ topic, partition, from: replicas, to }))
    return { moves: moves.filter(({ from }) => from.join() !== to.join()), impossible: [] }
  }
  const { brokers } = await admin.describeCluster()
  const wanted = options.to === undefined ? brokers.map(({ nodeId }) => nodeId) : requireNumberList('--to', options.to)
  const unknown = wanted.filter((nodeId) => !brokers.some((broker) => broker.nodeId === nodeId))
  if (unknown.length > 0) {
    throw usageError(`--to ${options.to}: no broker ${unknown.join(', ')} serves`, 'See "millrace cluster status".')
  }
  const replicationFactor =
    options.replicationFactor === undefined
      ? null
      : requireWhole('--replication-factor', options.replicationFactor, 1, wanted.length)
  return planSpread(
    partitions,
    brokers.filter(({ nodeId }) => wanted.includes(nodeId)),
    replicationFactor,
  )
}

async function listMoves(context: CliContext, admin: Admin, texts: readonly string[]): Promise<number> {
  const partitions = texts.length === 0 ? undefined : await describePartitions(admin, texts)
  const moves = await admin.listReassignments(partitions === undefined ? {} : { partitions })
  await context.printRows(
    moves.map((move) => ({ ...move })),
    [
      { key: 'topic' },
      { key: 'partition' },
      { key: 'replicas' },
      { key: 'addingReplicas', title: 'ADDING' },
      { key: 'removingReplicas', title: 'REMOVING' },
    ],
  )
  return ExitCode.OK
}

async function cancelMoves(context: CliContext, admin: Admin, texts: readonly string[]): Promise<number> {
  const partitions = texts.length === 0 ? undefined : await describePartitions(admin, texts)
  const moves = await admin.listReassignments(partitions === undefined ? {} : { partitions })
  const outcomes = await admin.alterReassignments(
    moves.map(({ topic, partition }) => ({ topic, partition, replicas: null })),
  )
  await context.printRows(
    outcomes.map(({ topic, partition, error }) => ({
      topic,
      partition,
      result: error === null ? 'cancelled' : 'failed',
    })),
    [{ key: 'topic' }, { key: 'partition' }, { key: 'result' }],
  )
  return reportOutcomes(context, outcomes)
}

/** Numbers by commas, in the order given. */
function orderedNumbers(option: string, text: string): number[] {
  const numbers = text.split(',').map((part) => requireWhole(option, part.trim(), 0))
  if (new Set(numbers).size < numbers.length) throw usageError(`${option} ${text}: a broker is named twice`)
  return numbers
}
