import { BaseError } from '@millrace/base'

/** This node does not lead (any more). `leaderId`: who does, as far as is known. */
export class NotLeaderError extends BaseError {
  readonly leaderId: number | null

  constructor(leaderId: number | null) {
    super('NOT_LEADER', leaderId === null ? 'no leader is known' : `node ${leaderId} leads`)
    this.leaderId = leaderId
  }
}

/** The node has stopped, by `close` or by a failure (`cause`). */
export class QuorumStoppedError extends BaseError {
  constructor(cause: unknown = undefined) {
    super('QUORUM_STOPPED', 'this node takes no part in the quorum any more', { cause })
  }
}

/** The log of this node and that of the leader hold different entries at the same place: one of them is damaged, or of another quorum. */
export class DivergedLogError extends BaseError {
  /** `isMended`: what this node held was cut off, since the leader's is committed, and is fetched again. */
  constructor(nodeId: number, leaderId: number | null, mismatchCount: number, isMended: boolean) {
    const remedy = isMended
      ? 'what differed here was not known to be committed, and is fetched again from the leader. Look after the disk of this node'
      : `${mismatchCount} messages were refused, nothing was changed. Restart both, which checks their logs; the node whose log is wrong must be removed from the voters and join as a new replica`
    super('LOG_DIVERGED', `The quorum log of node ${nodeId} does not fit the leader's (node ${leaderId}): ${remedy}`)
  }
}
