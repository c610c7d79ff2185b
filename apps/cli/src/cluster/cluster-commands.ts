import type { Command } from 'commander'
import { type Dispatch, toCommand, toGroup } from '../command/command-definition.ts'
import { addVoter, removeVoter } from './change-voters.ts'
import { clusterStatus } from './cluster-status.ts'
import { describeQuorum } from './describe-quorum.ts'
import { drainBroker } from './drain-broker.ts'
import { electLeaders } from './elect-leaders.ts'
import { logDirs } from './log-dirs.ts'
import { newId } from './new-id.ts'
import { reassignPartitions } from './reassign-partitions.ts'

/** `millrace cluster …`. */
export function clusterCommands(dispatch: Dispatch): Command {
  return toGroup('cluster', 'Look after brokers and controllers: status, quorum, moves, elections', [
    toCommand(clusterStatus, dispatch),
    toCommand(describeQuorum, dispatch),
    toCommand(addVoter, dispatch),
    toCommand(removeVoter, dispatch),
    toCommand(reassignPartitions, dispatch),
    toCommand(logDirs, dispatch),
    toCommand(electLeaders, dispatch),
    toCommand(drainBroker, dispatch),
    toCommand(newId, dispatch),
  ])
}
