import type { MetadataImage } from '../metadata/image.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import type {
  BrokerHeartbeat,
  ControllerAnswer,
  ControllerRequest,
  ControllerRequestName,
  HeartbeatAnswer,
} from './controller-requests.ts'

/** What the local quorum node tells the broker beside it. Never from inside a call into {@link ControllerPort}. */
export interface ControllerEvents {
  /** Committed records, in order; `startOffset` is the count of all before. */
  onRecords(startOffset: number, records: readonly MetadataRecord[]): void
  /** Begin anew from here: at the start, and when this node was too far behind. */
  onImage(image: MetadataImage): void
  /** Node id of the active controller, as far as known. */
  onActiveController(id: number | null): void
  /** The answer to the newest heartbeats; none comes while there is no active controller. */
  onHeartbeatAnswer(answer: HeartbeatAnswer): void
  /** The quorum node cannot go on (damaged log, failed disk): the process must end. */
  onFatal(error: Error): void
}

/**
 * A broker's way to the controllers: to the quorum node of its own process, which runs in a worker thread (`apps/broker`), inline
 * (embedded, tests) or in the simulator, and which passes requests on to the active controller.
 */
export interface ControllerPort {
  /** Before anything else; events may begin at once. */
  start(events: ControllerEvents): void
  /**
   * Asks the active controller, whoever that is. Goes on looking for it until the time is over; then rejects with
   * `ControllerUnavailableError`, and what was asked may be done or not. A request that may have been taken is sent again only if that
   * does no harm (`isRepeatable`); else it rejects with the same error at once.
   */
  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>>
  heartbeat(heartbeat: BrokerHeartbeat): void
  close(): Promise<void>
}
