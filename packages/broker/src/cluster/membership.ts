import type { Uuid } from '@millrace/base'
import type { MetadataService } from '../metadata/metadata-service.ts'

/** How a broker belongs to its cluster: as its only node, or as one of several. */
export interface Membership {
  readonly metadata: MetadataService
  /** Node id of the active controller as far as known; null where there is none. */
  readonly activeController: number | null
  /** For how long no active controller has been known, in milliseconds; 0 while there is one. */
  readonly controllerUnknownMs: number
  /** Kafka's number of what the broker is about (`BrokerState`). */
  readonly state: number
  /** The cluster takes this broker for dead, or has not let it in yet: it leads nothing. */
  readonly isFenced: boolean
  /** What a start waits for, for people; it completes "this node waits for". Of no meaning once {@link unfence} has resolved. */
  readonly waitsFor: string
  /** Resolves once the image is all that was committed before the call. */
  catchUp(): Promise<void>
  /** Names, by id, of topics that are known to have been deleted before this start. To be asked for once. */
  takeRemovedTopics(): ReadonlyMap<Uuid, string>
  /** Makes this broker known, once its listeners are bound and its partitions are those of the image. */
  register(): Promise<void>
  /** This broker can serve. Resolves once it may lead. */
  unfence(): Promise<void>
  /** A log directory failed. */
  onDirectoryFailed(): void
  /** Before anything stops: hands over what others can take, for a bounded time. */
  leave(): Promise<void>
  /** After everything else has stopped. */
  close(): Promise<void>
}
