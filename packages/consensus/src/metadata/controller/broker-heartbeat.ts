import type { Uuid } from '@millrace/base'
import type { BrokerImage, MetadataImage } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { MetadataErrorCode } from './api-error.ts'
import { beginControlledShutdown, failDirectories, fenceBroker, unfenceBroker } from './broker-events.ts'
import { afterRecords, type ControllerContext, type Outcome } from './context.ts'

/** What a broker says again and again. */
export interface HeartbeatRequest {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly incarnationId: Uuid
  /** Count of metadata records that the broker has applied. */
  readonly appliedOffset: number
  readonly wantFence: boolean
  readonly wantShutDown: boolean
  readonly offlineDirectories: readonly Uuid[]
}

/** What only the memory of the active controller knows, not the image. */
export interface ShutdownProgress {
  /** Metadata offset of the moment when the broker was first told to go on shutting down; null: not yet. */
  readonly shutdownOffset: number | null
  /** Least offset that any active broker has applied. */
  readonly lowestActiveOffset: number
}

export interface HeartbeatResponse {
  readonly errorCode: number
  readonly isCaughtUp: boolean
  readonly isFenced: boolean
  readonly shouldShutDown: boolean
}

type State = 'FENCED' | 'UNFENCED' | 'CONTROLLED_SHUTDOWN' | 'SHUTDOWN_NOW'

/** Works out the next state of a broker from its heartbeat (`controller.md`, 2.2). */
export function brokerHeartbeat(
  context: ControllerContext,
  heartbeat: HeartbeatRequest,
  progress: ShutdownProgress,
): Outcome<HeartbeatResponse> {
  const { brokerId, brokerEpoch } = heartbeat
  const broker = context.image.brokers.get(brokerId)
  if (broker === undefined || broker.epoch !== brokerEpoch || broker.incarnationId !== heartbeat.incarnationId) {
    const errorCode = MetadataErrorCode.STALE_BROKER_EPOCH
    return { records: [], response: { errorCode, isCaughtUp: false, isFenced: true, shouldShutDown: false } }
  }
  const records = failDirectories(context, brokerId, heartbeat.offlineDirectories)
  const next = nextState(context.image, broker, heartbeat, progress)
  records.push(...transitionRecords(afterRecords(context, records), brokerId, next))
  return {
    records,
    response: {
      errorCode: MetadataErrorCode.NONE,
      isCaughtUp: isCaughtUp(broker, heartbeat),
      isFenced: next === 'FENCED' || next === 'SHUTDOWN_NOW',
      shouldShutDown: next === 'SHUTDOWN_NOW',
    },
  }
}

function nextState(
  image: MetadataImage,
  broker: BrokerImage,
  heartbeat: HeartbeatRequest,
  { shutdownOffset, lowestActiveOffset }: ShutdownProgress,
): State {
  const { wantFence, wantShutDown } = heartbeat
  if (broker.fenced) {
    if (wantShutDown) return 'SHUTDOWN_NOW'
    return !wantFence && isCaughtUp(broker, heartbeat) ? 'UNFENCED' : 'FENCED'
  }
  if (wantFence) return wantShutDown ? 'SHUTDOWN_NOW' : 'FENCED'
  if (broker.inControlledShutdown) {
    // Brokers that do not know the new leaders yet would go on asking this one.
    const isKnown = shutdownOffset !== null && shutdownOffset <= lowestActiveOffset
    return isKnown && !leadsAny(image, broker.id) ? 'SHUTDOWN_NOW' : 'CONTROLLED_SHUTDOWN'
  }
  if (!wantShutDown) return 'UNFENCED'
  return leadsAny(image, broker.id) ? 'CONTROLLED_SHUTDOWN' : 'SHUTDOWN_NOW'
}

function transitionRecords(context: ControllerContext, brokerId: number, next: State): MetadataRecord[] {
  switch (next) {
    case 'UNFENCED':
      return unfenceBroker(context, brokerId)
    case 'CONTROLLED_SHUTDOWN':
      return beginControlledShutdown(context, brokerId)
    case 'FENCED':
    case 'SHUTDOWN_NOW':
      return fenceBroker(context, brokerId)
  }
}

/** The broker has seen its own registration: its epoch is the offset of that record. */
function isCaughtUp(broker: BrokerImage, { appliedOffset }: HeartbeatRequest): boolean {
  return appliedOffset > broker.epoch
}

function leadsAny(image: MetadataImage, brokerId: number): boolean {
  for (const topic of image.topics.values()) {
    if (topic.partitions.some((partition) => partition.leader === brokerId)) return true
  }
  return false
}
