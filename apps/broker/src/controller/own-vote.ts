import type { Timers } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import type { ApiError, Voter, VoterSet } from '@millrace/consensus'
import { RepeatedRequest } from './repeated-request.ts'

export interface OwnVoteOptions {
  /** This controller as the settings have it. */
  readonly self: Voter
  /** The settings name it among the first voters, so they say where it is. */
  readonly isNamed: boolean
  /** It asks to become a voter if none has its id (`controller.quorum.auto.join.enable`). */
  readonly joins: boolean
  readonly timers: Timers
  readonly logger: Logger
  /** As this node's log has them; empty while it says nothing of them, as that of a quorum whose voters never changed. */
  voters(): VoterSet
  /** Asks the leader to change the entry (UpdateRaftVoter, KIP-853). */
  update(voter: Voter): Promise<ApiError | null>
  /** Asks the leader for a vote (AddRaftVoter). */
  add(voter: Voter): Promise<ApiError | null>
}

/**
 * Keeps the voters' entry of this controller right. One that moved must tell the others itself, since they know it by what the log says;
 * one that joined later may ask for a vote.
 */
export function keepOwnVote(options: OwnVoteOptions): RepeatedRequest {
  const { self, isNamed, joins, timers, logger, voters, update, add } = options
  const failure = 'the voters could not be changed'
  const fields = { address: `${self.host}:${self.port}` }
  return new RepeatedRequest({
    timers,
    logger,
    next() {
      const known = voters().find(({ id }) => id === self.id)
      if (known === undefined) {
        // Named and not there: it was taken out, and whoever did that would not want it back.
        if (isNamed || !joins) return null
        return { send: () => add(self), success: 'this controller has a vote now', failure, fields }
      }
      const isOwn = isNamed && known.directoryId === self.directoryId
      if (!isOwn || (known.host === self.host && known.port === self.port)) return null
      return {
        send: () => update(self),
        success: 'the other nodes know the new address of this voter',
        failure,
        fields,
      }
    },
  })
}
