import { decodeVoters, type VoterSet } from '@millrace/consensus'
import type { ObservedReplica } from './observed-replica.ts'

/** Every set of voters that some node's log or snapshot names, and the first one: any of them may be in force somewhere. */
export function configurationsOf(run: {
  readonly replicas: readonly ObservedReplica[]
  readonly bootstrapVoters: VoterSet
}): VoterSet[] {
  const sets = [run.bootstrapVoters]
  for (const { log, core } of run.replicas) {
    if (log.snapshot !== null) sets.push(log.snapshot.voters)
    if (core !== null) sets.push(core.status.voters)
    for (const { kind, data } of log.entries(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY)) {
      if (kind === 'voters') sets.push(decodeVoters(data) ?? [])
    }
  }
  return sets
}

/** Whether directories that are whole and up are a majority of the voters. */
export function hasQuorum(voters: VoterSet, directories: ReadonlySet<string>): boolean {
  return voters.filter(({ directoryId }) => directories.has(directoryId)).length > voters.length >> 1
}
