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
