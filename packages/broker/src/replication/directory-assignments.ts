import { BaseError, type Timer, type Timers, type Uuid } from '@millrace/base'
import type { AssignReplicasToDirsAnswer, ControllerPort } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import type { Logger } from '../logger.ts'

const RETRY_MS = 500
const REQUEST_TIMEOUT_MS = 5_000
/** Kafka's controller takes no more than so many at once. */
const MAX_BATCH = 2_250

/** A replica of this node and the directory that holds its log. */
export interface DirectoryAssignment {
  readonly topicId: Uuid
  readonly partition: number
  readonly directory: Uuid
}

export interface DirectoryAssignmentsOptions {
  readonly brokerId: number
  readonly timers: Timers
  readonly logger: Logger
  /** -1: not registered yet. */
  brokerEpoch(): number
}

/**
 * Tells the controller which directory holds a replica where the metadata does not say, or says another (KIP-858): when a directory fails,
 * the controller must know which replicas are gone. One request at a time; the last word on a replica counts.
 */
export class DirectoryAssignments {
  readonly #options: DirectoryAssignmentsOptions
  #port: Pick<ControllerPort, 'request'> | null = null
  readonly #waiting = new Map<string, DirectoryAssignment>()
  #isSending = false
  #retry: Timer | null = null
  #isClosed = false

  constructor(options: DirectoryAssignmentsOptions) {
    this.#options = options
  }

  onControllerPort(port: Pick<ControllerPort, 'request'>): void {
    this.#port = port
    this.#send()
  }

  wake(): void {
    this.#send()
  }

  assign(assignment: DirectoryAssignment): void {
    this.#waiting.set(keyOf(assignment), assignment)
    this.#send()
  }

  /** The metadata says what the replica's directory is, or the replica is gone. */
  settled(topicId: Uuid, partition: number): void {
    this.#waiting.delete(keyOf({ topicId, partition }))
  }

  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
    this.#waiting.clear()
  }

  #send(): void {
    const port = this.#port
    if (this.#isClosed || this.#isSending || this.#retry !== null || port === null || this.#waiting.size === 0) return
    const { brokerId } = this.#options
    const brokerEpoch = this.#options.brokerEpoch()
    if (brokerEpoch < 0) return
    const partitions = [...this.#waiting.values()].slice(0, MAX_BATCH)
    for (const assignment of partitions) this.#waiting.delete(keyOf(assignment))
    this.#isSending = true
    port.request('assignReplicasToDirs', { brokerId, brokerEpoch, partitions }, REQUEST_TIMEOUT_MS).then(
      (answer) => this.#onAnswer(partitions, answer),
      (error: unknown) => {
        if (!(error instanceof BaseError)) throw error
        this.#onAnswer(partitions, { code: ErrorCode.REQUEST_TIMED_OUT, message: error.message })
      },
    )
  }

  #onAnswer(
    sent: readonly DirectoryAssignment[],
    answer: AssignReplicasToDirsAnswer | { readonly code: number; readonly message: string | null },
  ): void {
    this.#isSending = false
    if (this.#isClosed) return
    const again = 'code' in answer ? sent : notDone(sent, answer)
    for (const assignment of again) {
      const key = keyOf(assignment)
      if (!this.#waiting.has(key)) this.#waiting.set(key, assignment)
    }
    if (again.length === 0) {
      this.#send()
      return
    }
    this.#options.logger.debug('directories of replicas were not taken', { count: again.length })
    this.#retry = this.#options.timers.setTimer(RETRY_MS, () => {
      this.#retry = null
      this.#send()
    })
  }
}

/** A topic that is gone needs no directory. */
function notDone(sent: readonly DirectoryAssignment[], answer: AssignReplicasToDirsAnswer): DirectoryAssignment[] {
  const isOver = (code: number): boolean =>
    code === ErrorCode.NONE || code === ErrorCode.UNKNOWN_TOPIC_ID || code === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
  const done = new Set(answer.partitions.filter(({ errorCode }) => isOver(errorCode)).map(keyOf))
  return sent.filter((assignment) => !done.has(keyOf(assignment)))
}

function keyOf({ topicId, partition }: { topicId: Uuid; partition: number }): string {
  return `${topicId}${partition}`
}
