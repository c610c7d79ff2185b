/** What has happened to share groups on this node since its start, for metrics. */
export class ShareTotals {
  fetchRequests = 0
  failedFetches = 0
  acknowledgeRequests = 0
  failedAcknowledges = 0
  /** Records, by what members said of them: gap, accept, release, reject, renew. */
  readonly acknowledgements = [0, 0, 0, 0, 0]
  acquiredRecords = 0
  expiredLocks = 0
  deadLetters = 0
  /** Records that were too large for a dead letter, and went without key and value. */
  deadLettersWithoutValue = 0
  /** Records that no dead letter could be written for. */
  lostDeadLetters = 0
  deadLetterFailures = 0
  breakerTrips = 0
}
