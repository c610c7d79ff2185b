import { ConfigurationError } from '@millrace/base'
import { type ClientOptions, wholeNumber } from '../client/client-options.ts'
import { guarded } from '../client/guarded.ts'

/** What became of acknowledgements of one partition that were sent together. */
export interface AcknowledgementOutcome {
  topic: string
  partition: number
  /** Of records, ascending. */
  offsets: bigint[]
  /** Null if the broker took them. Otherwise the records will be delivered again, to whomever, unless the outcome is unknown. */
  error: unknown
}

/** Settings of a share consumer; names and meanings are Kafka's unless said otherwise. */
export interface ShareConsumerOptions extends ClientOptions {
  groupId: string
  /**
   * `implicit`: coming back for more accepts what was handed out. `explicit`: each record has to be acknowledged before the next
   * poll.
   */
  shareAcknowledgementMode?: 'implicit' | 'explicit'
  /** Hears what became of acknowledgements. */
  onAcknowledgements?: (outcome: AcknowledgementOutcome) => void
  /** The longest time between two polls; after it the member leaves and gives back what it has. */
  maxPollIntervalMs?: number
  maxPollRecords?: number
  fetchMinBytes?: number
  fetchMaxWaitMs?: number
  fetchMaxBytes?: number
  clientRack?: string
  checkCrcs?: boolean
  /** Ours: as in `ConsumerOptions`. */
  maxExpandedBatchBytes?: number
}

/** {@link ShareConsumerOptions} with nothing left out. */
export interface ResolvedShareOptions {
  groupId: string
  isExplicit: boolean
  onAcknowledgements: (outcome: AcknowledgementOutcome) => void
  maxPollIntervalMs: number
  maxPollRecords: number
  fetchMinBytes: number
  fetchMaxWaitMs: number
  fetchMaxBytes: number
  clientRack: string
  checkCrcs: boolean
  maxExpandedBatchBytes: number
}

const DEFAULT_MAX_EXPANDED_BATCH_BYTES = 128 * 1024 * 1024

/** Fills in defaults and refuses what is wrong. Throws `ConfigurationError`. */
export function resolveShareOptions(options: ShareConsumerOptions): ResolvedShareOptions {
  const { groupId, shareAcknowledgementMode: mode = 'implicit' } = options
  if (typeof groupId !== 'string' || groupId === '') {
    throw new ConfigurationError('groupId', 'a share consumer needs a groupId')
  }
  if (mode !== 'implicit' && mode !== 'explicit') {
    const message = `shareAcknowledgementMode must be 'implicit' or 'explicit', not ${mode}`
    throw new ConfigurationError('shareAcknowledgementMode', message)
  }
  const maxExpanded = options.maxExpandedBatchBytes
  return {
    groupId,
    isExplicit: mode === 'explicit',
    onAcknowledgements: guarded(options.onAcknowledgements ?? (() => undefined)),
    maxPollIntervalMs: wholeNumber('maxPollIntervalMs', options.maxPollIntervalMs, 300_000, 1),
    maxPollRecords: wholeNumber('maxPollRecords', options.maxPollRecords, 500, 1),
    fetchMinBytes: wholeNumber('fetchMinBytes', options.fetchMinBytes, 1, 0),
    fetchMaxWaitMs: wholeNumber('fetchMaxWaitMs', options.fetchMaxWaitMs, 500, 0),
    fetchMaxBytes: wholeNumber('fetchMaxBytes', options.fetchMaxBytes, 52_428_800, 1),
    clientRack: options.clientRack ?? '',
    checkCrcs: options.checkCrcs ?? true,
    maxExpandedBatchBytes: wholeNumber('maxExpandedBatchBytes', maxExpanded, DEFAULT_MAX_EXPANDED_BATCH_BYTES, 1),
  }
}
