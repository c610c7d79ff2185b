/** Who comes to the broker, and how many of each. */
export interface CrowdPlan {
  readonly port: number
  readonly seed: number
  /** Connections that said hello and then nothing. */
  readonly idle: number
  /** Clients that produce, fetch and ask for metadata, each a request at a time. */
  readonly busy: number
  /** Of all busy ones together. */
  readonly busyRequestsPerSecond: number
  /** Clients that ask for much and take one byte of it a second. */
  readonly slow: number
  /** Connections in the middle of a frame of 100 MiB that goes on a little at a time. */
  readonly halfSent: number
  /** Connections a second that send what is no request. */
  readonly garbagePerSecond: number
  /** Connections a second that only come and go. */
  readonly visitsPerSecond: number
  /** Has records for slow readers. */
  readonly bulkTopic: string
  readonly busyTopic: string
  readonly busyPartitions: number
}

export interface CrowdReport {
  /** Connections that were open when it was asked. */
  readonly idleOpen: number
  readonly busyRequests: number
  /** Busy clients that lost their connection or got an error: nothing should happen to those who behave. */
  readonly busyErrors: readonly string[]
  readonly garbageSent: number
  readonly visits: number
  /** Connections of slow readers, and in the middle of a frame, that were begun so far: who is closed comes again. */
  readonly slowBegun: number
  readonly halfSentBegun: number
}
