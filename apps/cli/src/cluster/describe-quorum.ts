import type { QuorumDescription, QuorumReplica } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
import { formatDuration } from '../options/durations.ts'
import { withController } from './active-controller.ts'
import { shareBar } from './bars.ts'

const COLUMNS: readonly Column[] = [
  { key: 'node' },
  { key: 'part' },
  { key: 'logEndOffset', title: 'LOG END' },
  { key: 'picture', title: 'HAS' },
  { key: 'lag' },
  { key: 'heard', title: 'LAST HEARD' },
  { key: 'address' },
  { key: 'directoryId', title: 'DIRECTORY' },
]

export const describeQuorum: CommandDefinition<object> = {
  name: 'quorum',
  summary: 'Show the metadata quorum: who leads, who votes, how far each is',
  examples: [
    ['cluster quorum', 'as a table'],
    ['cluster quorum -o json', 'for programs'],
  ],
  async run(context) {
    const quorum = await context.withAdmin((admin) => withController(admin, () => admin.describeQuorum()))
    const nowMs = context.io.clock.wallMs()
    await context.printValue(quorumData(quorum), () => quorumText(quorum, nowMs))
    return quorum.leaderId === -1 ? ExitCode.PARTIAL : ExitCode.OK
  },
}

/** Fields for programs. */
export function quorumData(quorum: QuorumDescription): Row {
  const replicas = (list: readonly QuorumReplica[]) =>
    list.map(({ listeners, ...rest }) => ({ ...rest, listeners: listeners.map((listener) => ({ ...listener })) }))
  const { leaderId, leaderEpoch, highWatermark, voters, observers } = quorum
  return { leaderId, leaderEpoch, highWatermark, voters: replicas(voters), observers: replicas(observers) }
}

function quorumText(quorum: QuorumDescription, nowMs: number): string {
  const { leaderId, leaderEpoch, highWatermark, voters, observers } = quorum
  const majority = Math.floor(voters.length / 2) + 1
  const leader = leaderId === -1 ? 'no leader' : `leader: node ${leaderId}, epoch ${leaderEpoch}`
  const end = [...voters, ...observers].find(({ nodeId }) => nodeId === leaderId)?.logEndOffset ?? highWatermark
  const rows = [
    ...voters.map((replica) => rowOf(replica, replica.nodeId === leaderId ? 'leader' : 'voter', end, nowMs)),
    ...observers.map((replica) => rowOf(replica, 'observer', end, nowMs)),
  ]
  return `${leader}; committed up to ${highWatermark}; ${majority} of ${voters.length} voters must run\n${renderRows(rows, COLUMNS, 'table')}`
}

function rowOf(replica: QuorumReplica, part: string, end: bigint, nowMs: number): Row {
  const { nodeId, directoryId, logEndOffset, lag, lastFetchMs, listeners } = replica
  const [listener] = listeners
  const heard =
    part === 'leader' ? '-' : lastFetchMs < 0 ? 'never' : `${formatDuration(Math.max(0, nowMs - lastFetchMs))} ago`
  return {
    node: nodeId,
    part,
    logEndOffset: logEndOffset < 0n ? null : logEndOffset,
    picture: shareBar(Number(end - lag), Number(end)),
    lag,
    heard,
    address: listener === undefined ? null : `${listener.host}:${listener.port}`,
    directoryId,
  }
}
