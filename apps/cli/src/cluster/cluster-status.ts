import { type Admin, type ClusterDescription, type QuorumDescription, UnsupportedVersionError } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
import { formatCount } from '../options/numbers.ts'
import { NoControllerError, withController } from './active-controller.ts'
import { shareBar } from './bars.ts'
import { quorumData } from './describe-quorum.ts'
import { type DirectoryStates, readDirectoryStates } from './directory-states.ts'
import { type DescribedPartition, describeAllPartitions } from './partition-arguments.ts'

const COLUMNS: readonly Column[] = [
  { key: 'node' },
  { key: 'address' },
  { key: 'rack' },
  { key: 'state' },
  { key: 'controller' },
  { key: 'picture', title: 'LEADS' },
  { key: 'leads', title: '' },
  { key: 'replicas' },
  { key: 'outOfSync', title: 'BEHIND' },
]

/** Many times what an election takes: who has no answer by then has no active controller. */
const QUORUM_TIMEOUT_MS = 10_000

/** Everything that the status shows. */
export interface ClusterStatus {
  readonly cluster: ClusterDescription
  /** Null: these brokers do not tell. */
  readonly quorum: QuorumDescription | null
  /** Brokers answer, but nobody for the quorum. */
  readonly isQuorumLost: boolean
  readonly logDirs: DirectoryStates
  readonly partitions: readonly DescribedPartition[]
}

export const clusterStatus: CommandDefinition<object> = {
  name: 'status',
  summary: 'Show brokers, controllers, balance of leaderships, and what is not well',
  description:
    'Exit code 3 if something is not well: a broker is fenced, a log directory is offline or full, there is no active controller, or a partition has no leader or not all replicas in sync.',
  examples: [
    ['cluster status', 'as a table'],
    ['cluster status -o json', 'for monitoring; the exit code says whether all is well'],
  ],
  async run(context) {
    const status = await context.withAdmin((admin) => readStatus(admin, context.options.timeoutMs))
    const problems = problemsOf(status)
    await context.printValue(statusData(status, problems), () => statusText(status, problems))
    return problems.length > 0 ? ExitCode.PARTIAL : ExitCode.OK
  },
}

async function readStatus(admin: Admin, timeoutMs: number): Promise<ClusterStatus> {
  const [{ cluster, logDirs }, rest] = await Promise.all([readBrokers(admin, timeoutMs), readRest(admin, timeoutMs)])
  if (logDirs.untold.length === 0) return { cluster, logDirs, ...rest }
  return readAgain(admin, timeoutMs, logDirs)
}

/** Who is silent was waited for: what was read before is old by now, and a broker that died meanwhile is fenced. */
async function readAgain(admin: Admin, timeoutMs: number, logDirs: DirectoryStates): Promise<ClusterStatus> {
  const [cluster, rest] = await Promise.all([
    admin.describeCluster({ includeFenced: true }),
    readRest(admin, timeoutMs),
  ])
  const serving = new Set(cluster.brokers.filter(({ isFenced }) => !isFenced).map(({ nodeId }) => nodeId))
  const untold = logDirs.untold.filter(({ broker }) => serving.has(broker))
  return { cluster, logDirs: { ...logDirs, untold }, ...rest }
}

async function readBrokers(admin: Admin, timeoutMs: number) {
  const cluster = await admin.describeCluster({ includeFenced: true })
  return { cluster, logDirs: await readDirectoryStates(admin, cluster.brokers, timeoutMs) }
}

async function readRest(admin: Admin, timeoutMs: number) {
  const [quorum, partitions] = await Promise.all([readQuorum(admin, timeoutMs), describeAllPartitions(admin)])
  return { partitions, quorum: quorum === 'lost' ? null : quorum, isQuorumLost: quorum === 'lost' }
}

async function readQuorum(admin: Admin, timeoutMs: number): Promise<QuorumDescription | null | 'lost'> {
  try {
    return await withController(admin, () =>
      admin.describeQuorum({ timeoutMs: Math.min(timeoutMs, QUORUM_TIMEOUT_MS) }),
    )
  } catch (error) {
    // Brokers of other makes, and a node that is its own cluster.
    if (error instanceof UnsupportedVersionError) return null
    if (error instanceof NoControllerError) return 'lost'
    throw error
  }
}

/** What is not well, in words; empty if all is. */
export function problemsOf({ cluster, quorum, isQuorumLost, logDirs, partitions }: ClusterStatus): string[] {
  const problems: string[] = []
  const fenced = cluster.brokers.filter(({ isFenced }) => isFenced).map(({ nodeId }) => nodeId)
  if (fenced.length > 0) problems.push(`${formatCount(fenced.length, 'broker')} fenced: ${fenced.join(', ')}`)
  for (const { broker, directory, state } of logDirs.directories) {
    if (state !== 'online') problems.push(`log directory ${directory} of broker ${broker} is ${state}`)
  }
  for (const { broker, reason } of logDirs.untold) {
    problems.push(`broker ${broker} does not tell of its log directories (${reason})`)
  }
  if (isQuorumLost) {
    problems.push('no active controller: a majority of the voters does not run or cannot be reached')
  } else if (quorum !== null && quorum.leaderId === -1) problems.push('no active controller')
  const leaderless = partitions.filter(({ leader }) => leader === -1).length
  if (leaderless > 0) problems.push(`${formatCount(leaderless, 'partition')} without a leader`)
  const behind = partitions.filter(({ isr, replicas }) => isr.length < replicas.length).length
  if (behind > 0) problems.push(`${formatCount(behind, 'partition')} with replicas out of sync`)
  return problems
}

/** What is well, but could be better. */
export function notesOf({ cluster, quorum }: ClusterStatus): string[] {
  const voterCount = quorum?.voters.length ?? 0
  // Of one or two voters all must run.
  if (cluster.brokers.length < 2 || voterCount === 0 || voterCount > 2) return []
  return [
    `the metadata quorum stands no failure: ${voterCount === 1 ? 'its only voter' : 'both of its voters'} must run ("millrace cluster add-voter" gives further controllers a vote)`,
  ]
}

function brokerRows({ cluster, quorum, partitions }: ClusterStatus): Row[] {
  const leads = countBy(partitions.map(({ leader }) => leader))
  const replicas = countBy(partitions.flatMap((partition) => partition.replicas))
  const outOfSync = countBy(
    partitions.flatMap((partition) => partition.replicas.filter((nodeId) => !partition.isr.includes(nodeId))),
  )
  const most = Math.max(0, ...leads.values())
  return cluster.brokers.map(({ nodeId, host, port, rack, isFenced }) => ({
    node: nodeId,
    address: host === '' ? null : `${host}:${port}`,
    rack,
    state: isFenced ? 'fenced' : 'serves',
    controller: controllerPart(quorum, nodeId),
    picture: shareBar(leads.get(nodeId) ?? 0, most),
    leads: leads.get(nodeId) ?? 0,
    replicas: replicas.get(nodeId) ?? 0,
    outOfSync: outOfSync.get(nodeId) ?? 0,
  }))
}

function controllerPart(quorum: QuorumDescription | null, nodeId: number): string | null {
  if (quorum === null) return null
  if (quorum.leaderId === nodeId) return 'active'
  return quorum.voters.some((voter) => voter.nodeId === nodeId) ? 'voter' : null
}

function countBy(nodeIds: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>()
  for (const nodeId of nodeIds) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1)
  counts.delete(-1)
  return counts
}

function statusData(status: ClusterStatus, problems: readonly string[]): Row {
  const { cluster, quorum, partitions } = status
  return {
    clusterId: cluster.clusterId,
    isHealthy: problems.length === 0,
    problems: [...problems],
    notes: notesOf(status),
    quorum: quorum === null ? null : quorumData(quorum),
    brokers: brokerRows(status).map(({ picture, ...row }) => row),
    logDirs: status.logDirs.directories.map((directory) => ({ ...directory })),
    partitions: partitions.length,
    partitionsWithoutLeader: partitions.filter(({ leader }) => leader === -1).length,
    partitionsOutOfSync: partitions.filter(({ isr, replicas }) => isr.length < replicas.length).length,
  }
}

function statusText(status: ClusterStatus, problems: readonly string[]): string {
  const { cluster, quorum, partitions } = status
  const facts = [
    formatCount(cluster.brokers.length, 'broker'),
    formatCount(partitions.length, 'partition'),
    ...(quorum === null ? [] : [controllersText(quorum)]),
  ]
  const health = problems.length === 0 ? 'All is well.' : `Not well: ${problems.join('; ')}.`
  const notes = notesOf(status).map((note) => `Note: ${note}.\n`)
  return `cluster ${cluster.clusterId ?? '?'}: ${facts.join(', ')}\n${health}\n${notes.join('')}\n${renderRows(brokerRows(status), COLUMNS, 'table')}`
}

function controllersText({ leaderId, voters }: QuorumDescription): string {
  const count = formatCount(voters.length, 'controller')
  return leaderId === -1 ? `${count}, none active` : `${count}, node ${leaderId} active`
}
