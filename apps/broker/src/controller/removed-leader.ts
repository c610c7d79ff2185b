import type { Logger } from '@millrace/broker'
import type { ControllerEvents, Voter, VoterSet } from '@millrace/consensus'

export interface RemovedLeaderOptions {
  readonly self: Pick<Voter, 'id' | 'directoryId'>
  readonly logger: Logger
  /** As of the log, committed or not; empty while it says nothing of them. */
  voters(): VoterSet
}

/**
 * The events, and a line in the log where this node leads a quorum that it is no voter of. That is meant: while nobody knows whether its
 * removal is committed it may hold the longest log and be the only one that can lead, until it has committed the removal (`RaftCore`).
 */
export function explainingRemovedLeader(events: ControllerEvents, options: RemovedLeaderOptions): ControllerEvents {
  const { self, logger, voters } = options
  return {
    onRecords: (startOffset, records) => events.onRecords(startOffset, records),
    onImage: (image) => events.onImage(image),
    onActiveController(id) {
      const known = voters()
      const isVoter = known.some((voter) => voter.id === self.id && voter.directoryId === self.directoryId)
      if (id === self.id && known.length > 0 && !isVoter) {
        const others = known.map((voter) => voter.id)
        logger.info('this node was removed from the voters and leads until that is committed', { voters: others })
      }
      events.onActiveController(id)
    },
    onHeartbeatAnswer: (answer) => events.onHeartbeatAnswer(answer),
    onFatal: (error) => events.onFatal(error),
  }
}
