import type { Clock, Timer, Timers } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType, ErrorCode } from '@millrace/protocol'
import { AppendResult } from '@millrace/storage'
import { GROUP_METADATA_TOPIC, isInternalTopic } from '../../metadata/internal-topics.ts'
import type { HighWatermarkWaiter, Partition } from '../../partition/partition.ts'
import type { PartitionManager } from '../../partition/partition-manager.ts'
import type { GroupCoordinator } from '../group/group-coordinator.ts'
import type { Marker } from './marker.ts'

export interface MarkerWriterPorts {
  readonly partitions: PartitionManager
  readonly groups: Pick<GroupCoordinator, 'endTransaction'>
  readonly clock: Clock
  readonly timers: Timers
}

/**
 * Appends the markers that end transactions to partitions that this node leads (`replication-and-transactions.md`, 10.5). Those for
 * offsets of groups go through their coordinator, whose state changes with them.
 */
export class MarkerWriter {
  readonly #ports: MarkerWriterPorts
  readonly #appended = new AppendResult()

  constructor(ports: MarkerWriterPorts) {
    this.#ports = ports
  }

  /** Resolves to the error code: NONE once the marker is committed, REQUEST_TIMED_OUT if it is not after `timeoutMs`. Never rejects. */
  async write(marker: Marker, topic: string, number: number, timeoutMs: number): Promise<number> {
    const { partitions, groups } = this.#ports
    if (!Number.isSafeInteger(marker.producerId) || marker.producerId < 0 || marker.producerEpoch < 0) {
      return ErrorCode.INVALID_REQUEST
    }
    const partition = partitions.find(topic, number)
    if (partition === null) return partitions.absenceCode(topic, number)
    if (topic === GROUP_METADATA_TOPIC) return this.#inTime(groups.endTransaction(number, marker), timeoutMs)
    // No transaction of a client reaches them, and coordinators take what they have not written for damage.
    if (isInternalTopic(topic)) return ErrorCode.INVALID_TOPIC_EXCEPTION
    const errorCode = this.#append(partition, marker)
    return errorCode === ErrorCode.NONE ? this.#whenCommitted(partition, timeoutMs) : errorCode
  }

  /** A group's partition that commits nothing does not hold up what else was asked for. */
  #inTime(ended: Promise<number>, timeoutMs: number): Promise<number> {
    return new Promise((resolve) => {
      const timer = this.#ports.timers.setTimer(timeoutMs, () => resolve(ErrorCode.REQUEST_TIMED_OUT))
      void ended.then((errorCode) => {
        timer.cancel()
        resolve(retriable(errorCode))
      })
    })
  }

  #append(partition: Partition, marker: Marker): number {
    const refusal = partition.checkLeader(-1)
    if (refusal !== ErrorCode.NONE) return refusal
    if (!partition.hasEnoughReplicas()) return ErrorCode.NOT_ENOUGH_REPLICAS
    const { producerId, producerEpoch, coordinatorEpoch, commit, transactionVersion } = marker
    const type = commit ? ControlRecordType.COMMIT : ControlRecordType.ABORT
    const timestamp = this.#ports.clock.wallMs()
    const batch = buildEndTxnMarker({ type, coordinatorEpoch, producerId, producerEpoch, timestamp })
    const { log, leaderEpoch } = partition
    const errorCode = log.append(batch, 0, batch.length, 'coordinator', leaderEpoch, this.#appended, transactionVersion)
    if (errorCode !== ErrorCode.NONE) return errorCode
    partition.verifications.onMarker(producerId, producerEpoch)
    this.#ports.partitions.touched(partition)
    return ErrorCode.NONE
  }

  #whenCommitted(partition: Partition, timeoutMs: number): Promise<number> {
    const requiredOffset = this.#appended.lastOffset + 1
    return new Promise((resolve) => {
      const waiter = new MarkerWaiter(partition, requiredOffset, resolve)
      waiter.timer = this.#ports.timers.setTimer(timeoutMs, () => waiter.end(ErrorCode.REQUEST_TIMED_OUT))
      partition.awaitHighWatermark(waiter)
    })
  }
}

class MarkerWaiter implements HighWatermarkWaiter {
  readonly requiredOffset: number
  waiting = true
  timer: Timer | null = null
  readonly #partition: Partition
  readonly #resolve: (errorCode: number) => void

  constructor(partition: Partition, requiredOffset: number, resolve: (errorCode: number) => void) {
    this.#partition = partition
    this.requiredOffset = requiredOffset
    this.#resolve = resolve
  }

  onCommitted(errorCode: number): void {
    const isLacking = errorCode === ErrorCode.NONE && !this.#partition.hadEnoughReplicas()
    this.end(isLacking ? ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND : errorCode)
  }

  end(errorCode: number): void {
    if (!this.waiting) return
    this.waiting = false
    this.timer?.cancel()
    this.#resolve(errorCode)
  }
}

/** A coordinator of transactions knows partitions, and nothing of groups. */
function retriable(errorCode: number): number {
  switch (errorCode) {
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode.NOT_COORDINATOR:
      return ErrorCode.NOT_LEADER_OR_FOLLOWER
    default:
      return errorCode
  }
}
